import { endOrCut, sendContent } from '../content.ts'
import type { DriveCall } from './call.ts'
import { DriveFailure, invalid } from './failure.ts'
import { EXPORT_FORMATS } from './formats.ts'
import type { FakeDriveKnobs } from './knobs.ts'
import { isNative } from './node.ts'
import { capabilitiesOf } from './resource.ts'

/** Answers `alt=media`. */
export function sendMedia(call: DriveCall, knobs: FakeDriveKnobs): void {
  const node = call.view.node(call.route.id)
  const { content, flags } = node
  if (content === undefined) {
    throw new DriveFailure({ reason: 'fileNotDownloadable', location: 'alt', locationType: 'parameter' })
  }
  if (capabilitiesOf(node).canDownload !== true) throw new DriveFailure({ reason: 'cannotDownloadFile' })
  // Only whoever owns it may take the risk.
  const isRiskTaken = call.flag('acknowledgeAbuse') && flags.sharedWithMe !== true
  if (flags.abusive === true && !isRiskTaken) throw new DriveFailure({ reason: 'cannotDownloadAbusiveFile' })
  sendContent(call.response, content, call.request.headers['range'], knobs.cutDownloads, {
    'content-type': node.mimeType
  })
}

/** Answers an export: of no length that it would say, and always from the beginning. */
export function sendExport(call: DriveCall, knobs: FakeDriveKnobs): void {
  const node = call.view.node(call.route.id)
  const mimeType = call.text('mimeType')
  if (mimeType === null) throw invalid('mimeType', 'required', 'Required parameter: mimeType')
  const formats = EXPORT_FORMATS[node.mimeType]
  if (!isNative(node.mimeType) || formats === undefined) throw new DriveFailure({ reason: 'fileNotExportable' })
  if (!/^[\w.+-]+\/[\w.+-]+$/.test(mimeType)) throw invalid('mimeType', 'invalidParameter')
  const content = node.exports.get(mimeType)
  if (content === undefined) throw invalid('convertTo', 'badRequest', 'The requested conversion is not supported.')
  if (capabilitiesOf(node).canDownload !== true) throw new DriveFailure({ reason: 'cannotDownloadFile' })
  if (content.length > knobs.exportLimitBytes) throw new DriveFailure({ reason: 'exportSizeLimitExceeded' })
  const { response } = call
  response.writeHead(200, { 'content-type': mimeType })
  response.flushHeaders()
  // No length is set: what is sent at once would get one.
  if (knobs.cutDownloads.times <= 0) response.write(content)
  endOrCut(response, knobs.cutDownloads.times <= 0 ? Buffer.alloc(0) : content, knobs.cutDownloads)
}
