import { setTimeout } from 'node:timers/promises'
import type { ServerResponse } from 'node:http'
import type { DriveCall } from './fake-drive-call.ts'
import { DriveFailure, invalid } from './fake-drive-failure.ts'
import { EXPORT_FORMATS } from './fake-drive-formats.ts'
import type { FakeDriveKnobs } from './fake-drive-knobs.ts'
import { isNative } from './fake-drive-node.ts'
import { capabilitiesOf } from './fake-drive-resource.ts'

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
  const { response } = call
  const range = parseRange(call.request.headers['range'] ?? '', content.length)
  if (range === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${content.length}`)
    response.writeHead(416, { 'content-type': 'text/html', 'content-length': 0 }).end()
    return
  }
  const [start, end] = range ?? [0, content.length]
  response.setHeader('content-type', node.mimeType)
  response.setHeader('content-length', end - start)
  if (range !== undefined) response.setHeader('content-range', `bytes ${start}-${end - 1}/${content.length}`)
  response.writeHead(range === undefined ? 200 : 206)
  const body = content.subarray(start, end)
  if (knobs.cutDownloads.times > 0) {
    knobs.cutDownloads.times--
    cut(response, body.subarray(0, knobs.cutDownloads.afterBytes))
  } else response.end(body)
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
  if (knobs.cutDownloads.times > 0) {
    knobs.cutDownloads.times--
    cut(response, content.subarray(0, knobs.cutDownloads.afterBytes))
    return
  }
  response.write(content)
  response.end()
}

/** A single range as `[start, end)`; undefined for what a server ignores: several, or none that makes sense. */
function parseRange(header: string, size: number): [start: number, end: number] | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? []
  if (first === '' && last === '') return undefined
  if (first === '') return size === 0 || Number(last) === 0 ? 'unsatisfiable' : [Math.max(0, size - Number(last)), size]
  if (last !== '' && Number(last) < Number(first)) return undefined
  if (Number(first) >= size) return 'unsatisfiable'
  return [Number(first), last === '' ? size : Math.min(Number(last) + 1, size)]
}

function cut(response: ServerResponse, beginning: Buffer): void {
  response.flushHeaders()
  // A reset drops what the other side has not read yet: it is given a moment for that.
  response.write(beginning, () => {
    void setTimeout(20).then(() => response.socket?.resetAndDestroy())
  })
}
