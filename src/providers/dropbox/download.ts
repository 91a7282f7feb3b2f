import {
  type Download,
  type DownloadCall,
  type DownloadUrl,
  type DownloadUrlCall,
  MAX_DOWNLOAD_URL_MS
} from '../../core/backend.ts'
import type { HttpAnswer } from '../../core/egress.ts'
import { exportedName } from '../../core/entry.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { pinnedUrl } from '../shared/bearer.ts'
import { bodyOf, dropBody, isCoded, lengthOf, rangeHeader, sizesOf } from '../shared/download.ts'
import { failure, noSuchFormat } from '../shared/errors.ts'
import { asObject, readJson, sizeOf } from '../shared/rest-client.ts'
import { type DropboxFormat, type Facts, fileEntry, formatsOf } from './entries.ts'
import { type DropboxServer, look } from './session.ts'

const SERVICE = 'Dropbox'

/** Downloads a file in one call, or a document in the requested format or Dropbox's default format. */
export async function downloadFile(server: DropboxServer, id: string, call: DownloadCall): Promise<Download> {
  const { signal, range, exportAs } = call
  if (exportAs !== undefined) return exportDocument(server, id, call)
  const headers = range === undefined ? {} : { range: rangeHeader(range) }
  const options = { signal, missing: 'OBJECT_NOT_FOUND' } as const
  const answer = await server.client.download('download', { path: id }, options, headers).catch((error: unknown) => {
    // Dropbox refuses a document like this, because it has no bytes of its own.
    if (isStorageError(error, 'UNSUPPORTED')) return null
    throw error
  })
  if (answer === null) return exportDocument(server, id, call)
  return keepOrDrop(answer, () => fileDownload(server, id, answer, call))
}

function fileDownload({ timeouts }: DropboxServer, id: string, answer: HttpAnswer, call: DownloadCall): Download {
  const { kind, name, size, version, modifiedAt, ...entry } = fileEntry(resultOf(answer), null)
  if (kind === 'link') throw failure('UNSUPPORTED', 'A symbolic link has no content in Dropbox')
  if (entry.id !== id || size === null) throw failure('PROVIDER_ERROR', 'Dropbox returned another file than requested')
  const sizes = sizesOf(answer, call.range)
  if (answer.status !== (call.range === undefined ? 200 : 206) || sizes === null || (sizes.size ?? size) !== size) {
    throw failure('PROVIDER_ERROR', 'Dropbox returned other bytes than requested')
  }
  const body = bodyOf(answer, sizes.expected ?? size, {
    service: SERVICE,
    idleMs: timeouts.idleMs,
    signal: call.signal
  })
  return { body, size, range: sizes.range, mimeType: null, name, etag: version, modifiedAt }
}

/** Exports a whole document, whatever range was requested: Dropbox renders it at that moment. */
async function exportDocument(server: DropboxServer, id: string, call: DownloadCall): Promise<Download> {
  const { signal, exportAs } = call
  const facts = await look(server, id, call, 'OBJECT_NOT_FOUND')
  if (facts['.tag'] === 'folder') throw failure('OBJECT_NOT_FOUND')
  const format = formatFor(facts, exportAs)
  const arg = { path: id, ...(!format.isDefault && { export_format: format.name }) }
  const answer = await server.client.download('export', arg, { signal, missing: 'OBJECT_NOT_FOUND' })
  return keepOrDrop(answer, () => {
    const { export_metadata: told, file_metadata: file } = resultOf(answer)
    const { name, version, modifiedAt } = fileEntry(asObject(file), null)
    const { mimeType, extension } = format
    const expected = sizeOf(asObject(told)['size'])
    const length = lengthOf(answer)
    const isWhole = answer.status === 200 && !isCoded(answer) && (length === null || length === expected)
    if (!isWhole || expected === null) {
      throw failure('PROVIDER_ERROR', 'Dropbox did not report the length of the exported document')
    }
    return {
      body: bodyOf(answer, expected, { service: SERVICE, idleMs: server.timeouts.idleMs, signal }),
      size: null,
      range: null,
      mimeType,
      name: exportedName(name, format),
      exportedAs: { mimeType, extension },
      // Each format of a version has different content.
      etag: version === null ? null : `${version}.${extension}`,
      modifiedAt
    }
  })
}

/** @throws StorageError `INVALID_REQUEST` for a format the document lacks, `UNSUPPORTED` if it has no known format */
function formatFor(facts: Facts, wanted: string | undefined): DropboxFormat {
  const hasFormats = fileEntry(facts, null).exportFormats.length > 0
  const formats = hasFormats ? formatsOf(facts['export_info']) : []
  const format = formats.find(({ mimeType }) => wanted === undefined || mimeType === wanted)
  if (format !== undefined) return format
  if (wanted === undefined) throw failure('UNSUPPORTED', 'Dropbox lists no known export format for this file')
  throw noSuchFormat()
}

/** Reads the metadata header of a content response. @throws StorageError `PROVIDER_ERROR` */
function resultOf({ headers }: HttpAnswer): Facts {
  try {
    return asObject(JSON.parse(headers['dropbox-api-result'] ?? ''))
  } catch {
    throw failure('PROVIDER_ERROR', 'Dropbox returned content without valid metadata')
  }
}

/** Closes the body if `read` fails; it would hold its connection otherwise. */
function keepOrDrop(answer: HttpAnswer, read: () => Download): Download {
  try {
    return read()
  } catch (error) {
    dropBody(answer)
    throw error
  }
}

/** The fixed lifetime of a link ("get_temporary_link"). */
const LIFETIME_MS = 4 * 60 * 60_000

/**
 * Returns a temporary link. It lives four hours by Dropbox's clock, whatever was requested. Callers expect the
 * browser to save the file; Dropbox says only that the link "should not be used to display content directly in the
 * browser". Not verified against the service.
 *
 * @throws StorageError `INVALID_REQUEST` unless a longer lifetime is accepted
 */
export async function temporaryLink(
  { client, linkHosts }: DropboxServer,
  id: string,
  { signal, expiresInMs, acceptLonger = false }: DownloadUrlCall
): Promise<DownloadUrl> {
  if (!Number.isFinite(expiresInMs) || expiresInMs < 1 || expiresInMs > MAX_DOWNLOAD_URL_MS) {
    throw new StorageError('INVALID_REQUEST', `The lifetime of a link must be 1 to ${MAX_DOWNLOAD_URL_MS} ms.`)
  }
  if (!acceptLonger) {
    throw new StorageError('INVALID_REQUEST', 'Dropbox links are valid for four hours. Set acceptLonger to allow it.')
  }
  const answer = await client.ask('get_temporary_link', { path: id }, { signal, missing: 'OBJECT_NOT_FOUND' })
  const { link, metadata } = await readJson(answer)
  const madeAt = Date.parse(answer.headers['date'] ?? '')
  if (asObject(metadata)['id'] !== id || Number.isNaN(madeAt)) {
    throw failure('PROVIDER_ERROR', 'Dropbox returned a link without its file or its time')
  }
  const url = pinnedUrl(link, linkHosts, 'The temporary link')
  return { url: url.href, expiresAt: new Date(madeAt + LIFETIME_MS) }
}
