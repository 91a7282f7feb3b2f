import { randomBytes } from 'node:crypto'
import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'
import { endOrReset, sendContent } from '../content.ts'
import type { DriveCall } from './call.ts'
import { DriveFailure, invalid, notFound } from './failure.ts'
import { EXPORT_FORMATS, RENDERED_FORMATS } from './formats.ts'
import type { FakeDriveKnobs } from './knobs.ts'
import { isNative } from './node.ts'
import { capabilitiesOf } from './resource.ts'

/** Handles `alt=media`. */
export function sendMedia(call: DriveCall, knobs: FakeDriveKnobs): void {
  const node = call.view.node(call.route.id)
  const { content, flags } = node
  if (content === undefined) {
    throw new DriveFailure({ reason: 'fileNotDownloadable', location: 'alt', locationType: 'parameter' })
  }
  if (capabilitiesOf(node).canDownload !== true) throw new DriveFailure({ reason: 'cannotDownloadFile' })
  // Only the owner can acknowledge the risk.
  const isRiskAcknowledged = call.flag('acknowledgeAbuse') && flags.sharedWithMe !== true
  if (flags.abusive === true && !isRiskAcknowledged) throw new DriveFailure({ reason: 'cannotDownloadAbusiveFile' })
  sendContent(call.response, content, call.request.headers['range'], knobs.downloadResets, {
    'content-type': node.mimeType
  })
}

/** Handles an export: without a length, and always from the beginning. */
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
  // Writing first prevents a Content-Length, which Node sets for a single `end`.
  if (knobs.downloadResets.times <= 0) response.write(content)
  endOrReset(response, knobs.downloadResets.times <= 0 ? Buffer.alloc(0) : content, knobs.downloadResets)
}

interface Operation {
  readonly id: string
  readonly mimeType: string
  polls: number
}

/** Documents that Google renders on request: `files.download` and its operations. */
export class FakeDriveOperations {
  readonly #knobs: FakeDriveKnobs
  readonly #operations = new Map<string, Operation>()

  constructor(knobs: FakeDriveKnobs) {
    this.#knobs = knobs
  }

  /** The number of operations that have not been deleted. */
  get count(): number {
    return this.#operations.size
  }

  /** Deletes all operations. Google does so after 12 hours or more. */
  expire(): void {
    this.#operations.clear()
  }

  /** Handles `files.download`. Responds with a pending operation, which has no `done`. */
  start(call: DriveCall, origin: string): void {
    const node = call.view.node(call.route.id)
    const formats = RENDERED_FORMATS[node.mimeType] ?? EXPORT_FORMATS[node.mimeType]
    if (formats === undefined) throw new DriveFailure({ reason: 'fileNotDownloadable' })
    if (capabilitiesOf(node).canDownload !== true) throw new DriveFailure({ reason: 'cannotDownloadFile' })
    const mimeType = call.text('mimeType') ?? formats[0] ?? ''
    if (!formats.includes(mimeType))
      throw invalid('mimeType', 'badRequest', 'The requested conversion is not supported.')
    const name = `${randomBytes(24).toString('base64')}/+=`
    const operation = { id: node.id, mimeType, polls: 0 }
    this.#operations.set(name, operation)
    call.send(this.#resourceOf(name, operation, origin), undefined)
  }

  /** Handles `operations.get`. Like all requests for a file, it needs the file's resource key. */
  poll(call: DriveCall, origin: string): void {
    const operation = this.#find(call)
    operation.polls++
    call.send(this.#resourceOf(call.route.id, operation, origin), undefined)
  }

  /** Sends the content with its length, at the address from the operation. */
  sendRendered(call: DriveCall): void {
    const { id, mimeType, polls } = this.#find(call)
    const content = call.view.node(id).exports.get(mimeType)
    if (polls <= this.#knobs.pendingPolls || content === undefined) throw notFound(call.route.id)
    sendContent(call.response, content, undefined, this.#knobs.downloadResets, { 'content-type': mimeType })
  }

  #find(call: DriveCall): Operation {
    const operation = this.#operations.get(call.route.id)
    if (operation === undefined) throw notFound(call.route.id)
    call.view.node(operation.id)
    return operation
  }

  #resourceOf(name: string, { polls }: Operation, origin: string): drive_v3.Schema$Operation {
    const metadata = { '@type': 'type.googleapis.com/google.apps.drive.v3.DownloadFileMetadata' }
    const { pendingPolls, operationError, downloadUri } = this.#knobs
    if (polls <= pendingPolls) return { name, metadata, ...(polls > 0 && { done: false }) }
    if (operationError !== undefined) return { name, metadata, done: true, error: operationError }
    const response = {
      '@type': 'type.googleapis.com/google.apps.drive.v3.DownloadFileResponse',
      downloadUri: downloadUri ?? `${origin}/rendered/${encodeURIComponent(name)}`,
      partialDownloadAllowed: false
    }
    return { name, metadata, done: true, response }
  }
}
