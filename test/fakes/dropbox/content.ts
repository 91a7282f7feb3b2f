import type { files } from 'dropbox'
import { endOrReset, sendContent } from '../content.ts'
import { headerJson, type DropboxCall } from './call.ts'
import { DropboxFailure, endpointError, pathLookup } from './failure.ts'
import { contentHash } from './hash.ts'
import type { FakeDropboxKnobs } from './knobs.ts'
import { fileMetadata } from './metadata.ts'
import type { FakeDropboxNode } from './node.ts'

/** Returns a readable file. */
export function readableFile(call: DropboxCall): FakeDropboxNode {
  const node = call.view.node((call.arg as files.DownloadArg).path)
  if (node.kind === 'folder') throw pathLookup({ '.tag': 'not_file' })
  if (node.flags.lookupError !== undefined) throw pathLookup({ '.tag': node.flags.lookupError })
  return node
}

export function sendFile(call: DropboxCall, knobs: FakeDropboxKnobs): void {
  const node = readableFile(call)
  if (node.content === undefined) {
    throw new DropboxFailure(endpointError({ '.tag': 'unsupported_file' } satisfies files.DownloadError))
  }
  sendContent(call.response, node.content, call.request.headers['range'], knobs.downloadResets, {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    etag: `W/"${node.rev}"`,
    'dropbox-api-result': headerJson(fileMetadata(call.view, node))
  })
}

/** Sends an export of a document: without a length, and always from the beginning. */
export function sendExport(call: DropboxCall, { downloadResets }: FakeDropboxKnobs): void {
  const { response, view } = call
  const node = readableFile(call)
  const [defaultFormat = ''] = node.exports.keys()
  const { export_format: format = defaultFormat } = call.arg as files.ExportArg
  const content = node.exports.get(format)
  if (content === undefined) {
    const tag = node.exports.size === 0 ? 'non_exportable' : 'invalid_export_format'
    throw new DropboxFailure(endpointError({ '.tag': tag } satisfies files.ExportError))
  }
  const result: files.ExportResult = {
    export_metadata: {
      name: `${node.name.replace(/\.[^.]*$/, '')}.${format}`,
      size: content.length,
      export_hash: contentHash(content)
    },
    file_metadata: fileMetadata(view, node)
  }
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'dropbox-api-result': headerJson(result)
  })
  response.flushHeaders()
  // Writing first prevents a Content-Length, which Node sets for a single `end`.
  if (downloadResets.times <= 0) response.write(content)
  endOrReset(response, downloadResets.times <= 0 ? Buffer.alloc(0) : content, downloadResets)
}
