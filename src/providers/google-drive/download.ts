import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { Download, DownloadCall } from '../../core/backend.ts'
import type { HttpResponse } from '../../core/egress.ts'
import { exportedName, type ExportFormat } from '../../core/entry.ts'
import type { StorageError } from '../../errors.ts'
import {
  destroyBody,
  downloadContent,
  downloadLatest,
  hasDetectableEnd,
  readContentLength,
  toTransferBody
} from '../shared/download.ts'
import { failure, unsupportedExportFormat } from '../shared/errors.ts'
import { readErrorBody } from '../shared/rest-client.ts'
import { downloadViaOperation } from './download-operation.ts'
import { fileEntry, type ItemId, needsDownloadOperation } from './entries.ts'
import { driveFailure } from './errors.ts'
import { type DriveSession, getItem, resourceKeyHeader } from './session.ts'

const SERVICE = 'Google Drive'

/** Downloads a file, or exports a Google document in the requested format or the preferred one. */
export async function downloadFile(session: DriveSession, itemId: ItemId, call: DownloadCall): Promise<Download> {
  return downloadLatest(
    SERVICE,
    () => getItem(session, itemId, call, 'OBJECT_NOT_FOUND'),
    async (file) => {
      const entry = fileEntry(file, { parentId: null })
      if (entry.kind === 'link') throw failure('UNSUPPORTED', 'The file can only be opened in Google Drive')
      if (entry.kind !== 'file') throw failure('OBJECT_NOT_FOUND')
      const format = selectFormat(entry.exportFormats, call.exportAs)
      if (format !== null) return exportDocument(session, itemId, file, format, call)
      return downloadContent(entry, call, {
        service: SERVICE,
        request: (headers) => requestContent(session, itemId, mediaUrl(session, itemId), call, headers),
        readError: (response) => toError(session, response, call),
        idleMs: session.timeouts.idleMs
      })
    }
  )
}

/** @throws StorageError `INVALID_REQUEST` */
function selectFormat(formats: readonly ExportFormat[], requestedMimeType: string | undefined): ExportFormat | null {
  if (requestedMimeType === undefined) return formats[0] ?? null
  const format = formats.find(({ mimeType }) => mimeType === requestedMimeType)
  if (format === undefined) throw unsupportedExportFormat()
  return format
}

function mediaUrl({ origin }: DriveSession, { id }: ItemId): URL {
  return new URL(`/drive/v3/files/${id}?alt=media&supportsAllDrives=true`, origin)
}

function exportUrl({ origin }: DriveSession, { id }: ItemId, mimeType: string): URL {
  const url = new URL(`/drive/v3/files/${id}/export`, origin)
  url.searchParams.set('mimeType', mimeType)
  return url
}

/** Google renders each export on request: it has no length, no ranges, and 10 MB at most. A video may be larger. */
async function exportDocument(
  session: DriveSession,
  itemId: ItemId,
  file: drive_v3.Schema$File,
  format: ExportFormat,
  call: DownloadCall
): Promise<Download> {
  const { mimeType, extension } = format
  const { name, version, modifiedAt } = fileEntry(file, { parentId: null })
  const response = needsDownloadOperation(file.mimeType ?? '')
    ? await downloadViaOperation(session, itemId, { mimeType, version: version ?? '' }, call)
    : await requestContent(session, itemId, exportUrl(session, itemId, mimeType), call)
  if (response.status !== 200) throw await toError(session, response, call)
  const expected = readContentLength(response)
  if (!hasDetectableEnd(response, expected)) {
    destroyBody(response)
    throw failure('PROVIDER_ERROR', 'Google Drive sent an export without a detectable end')
  }
  return {
    body: toTransferBody(response, expected, {
      service: SERVICE,
      idleMs: session.timeouts.idleMs,
      signal: call.signal
    }),
    size: null,
    range: null,
    mimeType,
    name: exportedName(name, format),
    exportedAs: format,
    // Each format of a version has different content.
    etag: version === null ? null : `${version}.${extension}`,
    modifiedAt
  }
}

function requestContent(
  { send }: DriveSession,
  itemId: ItemId,
  url: URL,
  { signal }: DownloadCall,
  headers: Readonly<Record<string, string>> = {}
): Promise<HttpResponse> {
  return send({
    method: 'GET',
    url,
    signal,
    purpose: 'transfer',
    headers: { ...headers, ...resourceKeyHeader(itemId) }
  })
}

async function toError(
  { timeouts }: DriveSession,
  response: HttpResponse,
  { signal }: DownloadCall
): Promise<StorageError> {
  const problem = await readErrorBody(response, timeouts.idleMs)
  signal.throwIfAborted()
  return driveFailure('GET', response, problem, 'OBJECT_NOT_FOUND')
}
