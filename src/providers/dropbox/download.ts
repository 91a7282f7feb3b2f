import {
  type Download,
  type DownloadCall,
  type DownloadUrl,
  type DownloadUrlCall,
  MAX_DOWNLOAD_URL_MS
} from '../../core/backend.ts'
import type { HttpResponse } from '../../core/egress.ts'
import { exportedName } from '../../core/entry.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { parseProviderUrl } from '../shared/bearer.ts'
import {
  toTransferBody,
  destroyBody,
  isEncoded,
  readContentLength,
  rangeHeader,
  readResponseSizes
} from '../shared/download.ts'
import { asObject, type JsonObject, sizeOf } from '../shared/entries.ts'
import { failure, unsupportedExportFormat } from '../shared/errors.ts'
import { readJson } from '../shared/rest-client.ts'
import { type DropboxFormat, fileEntry, formatsOf } from './entries.ts'
import { type DropboxSession, getItem } from './session.ts'

const SERVICE = 'Dropbox'

/** Downloads a file in one call, or a document in the requested format or Dropbox's default format. */
export async function downloadFile(session: DropboxSession, id: string, call: DownloadCall): Promise<Download> {
  const { signal, range, exportAs } = call
  if (exportAs !== undefined) return exportDocument(session, id, call)
  const headers = range === undefined ? {} : { range: rangeHeader(range) }
  const options = { signal, missing: 'OBJECT_NOT_FOUND' } as const
  const response = await session.client.download('download', { path: id }, options, headers).catch((error: unknown) => {
    // Dropbox refuses a document like this, because it has no bytes of its own.
    if (isStorageError(error, 'UNSUPPORTED')) return null
    throw error
  })
  if (response === null) return exportDocument(session, id, call)
  return closeOnError(response, () => toDownload(session, id, response, call))
}

function toDownload({ timeouts }: DropboxSession, id: string, response: HttpResponse, call: DownloadCall): Download {
  const { kind, name, size, version, modifiedAt, ...entry } = fileEntry(readResultHeader(response), null)
  if (kind === 'link') throw failure('UNSUPPORTED', 'A symbolic link has no content in Dropbox')
  if (entry.id !== id || size === null) throw failure('PROVIDER_ERROR', 'Dropbox returned another file than requested')
  const sizes = readResponseSizes(response, call.range)
  if (response.status !== (call.range === undefined ? 200 : 206) || sizes === null || (sizes.size ?? size) !== size) {
    throw failure('PROVIDER_ERROR', 'Dropbox returned other bytes than requested')
  }
  const body = toTransferBody(response, sizes.expected ?? size, {
    service: SERVICE,
    idleMs: timeouts.idleMs,
    signal: call.signal
  })
  return { body, size, range: sizes.range, mimeType: null, name, etag: version, modifiedAt }
}

/** Exports a whole document, whatever range was requested: Dropbox renders it at that moment. */
async function exportDocument(session: DropboxSession, id: string, call: DownloadCall): Promise<Download> {
  const { signal, exportAs } = call
  const metadata = await getItem(session, id, call, 'OBJECT_NOT_FOUND')
  if (metadata['.tag'] === 'folder') throw failure('OBJECT_NOT_FOUND')
  const format = selectFormat(metadata, exportAs)
  const arg = { path: id, ...(!format.isDefault && { export_format: format.name }) }
  const response = await session.client.download('export', arg, { signal, missing: 'OBJECT_NOT_FOUND' })
  return closeOnError(response, () => {
    const { export_metadata: exportMetadata, file_metadata: fileMetadata } = readResultHeader(response)
    const { name, version, modifiedAt } = fileEntry(asObject(fileMetadata), null)
    const { mimeType, extension } = format
    const expected = sizeOf(asObject(exportMetadata)['size'])
    const length = readContentLength(response)
    const isComplete = response.status === 200 && !isEncoded(response) && (length === null || length === expected)
    if (!isComplete || expected === null) {
      throw failure('PROVIDER_ERROR', 'Dropbox did not report the length of the exported document')
    }
    return {
      body: toTransferBody(response, expected, { service: SERVICE, idleMs: session.timeouts.idleMs, signal }),
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
function selectFormat(metadata: JsonObject, requestedMimeType: string | undefined): DropboxFormat {
  const hasFormats = fileEntry(metadata, null).exportFormats.length > 0
  const formats = hasFormats ? formatsOf(metadata['export_info']) : []
  const format = formats.find(({ mimeType }) => requestedMimeType === undefined || mimeType === requestedMimeType)
  if (format !== undefined) return format
  if (requestedMimeType === undefined)
    throw failure('UNSUPPORTED', 'Dropbox lists no known export format for this file')
  throw unsupportedExportFormat()
}

/** Reads the metadata header of a content response. @throws StorageError `PROVIDER_ERROR` */
function readResultHeader({ headers }: HttpResponse): JsonObject {
  try {
    return asObject(JSON.parse(headers['dropbox-api-result'] ?? ''))
  } catch {
    throw failure('PROVIDER_ERROR', 'Dropbox returned content without valid metadata')
  }
}

/** Closes the body if `read` fails; it would hold its connection otherwise. */
function closeOnError(response: HttpResponse, read: () => Download): Download {
  try {
    return read()
  } catch (error) {
    destroyBody(response)
    throw error
  }
}

/** The fixed lifetime of a link ("get_temporary_link"). */
const LINK_LIFETIME_MS = 4 * 60 * 60_000

/**
 * Returns a temporary link. It lives four hours by Dropbox's clock, whatever was requested. Callers expect the
 * browser to save the file; Dropbox says only that the link "should not be used to display content directly in the
 * browser". Not verified against the service.
 *
 * @throws StorageError `INVALID_REQUEST` unless a longer lifetime is accepted
 */
export async function getTemporaryLink(
  { client, linkHosts }: DropboxSession,
  id: string,
  { signal, expiresInMs, acceptLonger = false }: DownloadUrlCall
): Promise<DownloadUrl> {
  if (!Number.isFinite(expiresInMs) || expiresInMs < 1 || expiresInMs > MAX_DOWNLOAD_URL_MS) {
    throw new StorageError('INVALID_REQUEST', `The lifetime of a link must be 1 to ${MAX_DOWNLOAD_URL_MS} ms.`)
  }
  if (!acceptLonger) {
    throw new StorageError('INVALID_REQUEST', 'Dropbox links are valid for four hours. Set acceptLonger to allow it.')
  }
  const response = await client.requestFiles(
    'get_temporary_link',
    { path: id },
    { signal, missing: 'OBJECT_NOT_FOUND' }
  )
  const { link, metadata } = await readJson(response)
  const issuedAtMs = Date.parse(response.headers['date'] ?? '')
  if (asObject(metadata)['id'] !== id || Number.isNaN(issuedAtMs)) {
    throw failure('PROVIDER_ERROR', 'Dropbox returned a link without its file or its time')
  }
  const url = parseProviderUrl(link, linkHosts, 'The temporary link')
  return { url: url.href, expiresAt: new Date(issuedAtMs + LINK_LIFETIME_MS) }
}
