import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { HttpAnswer } from '../../core/egress.ts'
import { exportedName } from '../../core/entry.ts'
import type { ExportFormat } from '../../core/entry.ts'
import type { StorageError } from '../../errors.ts'
import type { Download, DownloadCall } from '../../core/backend.ts'
import { hasEnd, lengthOf } from '../shared/download.ts'
import { noSuchFormat } from '../shared/errors.ts'
import { failure } from '../shared/errors.ts'
import { bodyOf, downloadKnown, downloadNewest, dropBody } from '../shared/download.ts'
import { readProblem } from '../shared/rest-client.ts'
import { fileEntry } from './entries.ts'
import { driveFailure } from './errors.ts'
import { type DriveId, keyHeader } from './entries.ts'
import { isRendered } from './entries.ts'
import { requestRendered } from './rendered.ts'
import { type DriveServer, look } from './session.ts'

const SERVICE = 'Google Drive'

/** Downloads a file, or exports a Google document in the requested format or the preferred one. */
export async function downloadFile(server: DriveServer, about: DriveId, call: DownloadCall): Promise<Download> {
  return downloadNewest(
    SERVICE,
    () => look(server, about, call, 'OBJECT_NOT_FOUND'),
    async (file) => {
      const entry = fileEntry(file, { parentId: null })
      if (entry.kind === 'link') throw failure('UNSUPPORTED', 'The file can only be opened in Google Drive')
      if (entry.kind !== 'file') throw failure('OBJECT_NOT_FOUND')
      const format = formatOf(entry.exportFormats, call.exportAs)
      if (format !== null) return exportDocument(server, about, file, format, call)
      return downloadKnown(entry, call, {
        service: SERVICE,
        request: (headers) => request(server, about, mediaUrl(server, about), call, headers),
        refusal: (answer) => refusal(server, answer, call),
        idleMs: server.timeouts.idleMs
      })
    }
  )
}

/** @throws StorageError `INVALID_REQUEST` */
function formatOf(formats: readonly ExportFormat[], wanted: string | undefined): ExportFormat | null {
  if (wanted === undefined) return formats[0] ?? null
  const format = formats.find(({ mimeType }) => mimeType === wanted)
  if (format === undefined) throw noSuchFormat()
  return format
}

function mediaUrl({ origin }: DriveServer, { id }: DriveId): URL {
  return new URL(`/drive/v3/files/${id}?alt=media&supportsAllDrives=true`, origin)
}

function exportUrl({ origin }: DriveServer, { id }: DriveId, mimeType: string): URL {
  const url = new URL(`/drive/v3/files/${id}/export`, origin)
  url.searchParams.set('mimeType', mimeType)
  return url
}

/** Google renders each export on request: it has no length, no ranges, and 10 MB at most. A video may be larger. */
async function exportDocument(
  server: DriveServer,
  about: DriveId,
  file: drive_v3.Schema$File,
  format: ExportFormat,
  call: DownloadCall
): Promise<Download> {
  const { mimeType, extension } = format
  const { name, version, modifiedAt } = fileEntry(file, { parentId: null })
  const answer = isRendered(file.mimeType ?? '')
    ? await requestRendered(server, about, { mimeType, version: version ?? '' }, call)
    : await request(server, about, exportUrl(server, about, mimeType), call)
  if (answer.status !== 200) throw await refusal(server, answer, call)
  const expected = lengthOf(answer)
  if (!hasEnd(answer, expected)) {
    dropBody(answer)
    throw failure('PROVIDER_ERROR', 'Google Drive sent an export without a detectable end')
  }
  return {
    body: bodyOf(answer, expected, { service: SERVICE, idleMs: server.timeouts.idleMs, signal: call.signal }),
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

function request(
  { send }: DriveServer,
  about: DriveId,
  url: URL,
  { signal }: DownloadCall,
  headers: Readonly<Record<string, string>> = {}
): Promise<HttpAnswer> {
  return send({ method: 'GET', url, signal, purpose: 'transfer', headers: { ...headers, ...keyHeader(about) } })
}

async function refusal({ timeouts }: DriveServer, answer: HttpAnswer, { signal }: DownloadCall): Promise<StorageError> {
  const problem = await readProblem(answer, timeouts.idleMs)
  signal.throwIfAborted()
  return driveFailure('GET', answer, problem, 'OBJECT_NOT_FOUND')
}
