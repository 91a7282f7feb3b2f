import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { HttpAnswer } from '../../domain/egress.ts'
import type { ExportFormat } from '../../domain/entry.ts'
import { StorageError } from '../../domain/errors.ts'
import type { Download, DownloadCall } from '../../domain/storage-backend.ts'
import { connectionFailure } from '../../infra/net/connection-failure.ts'
import { resolveRange } from '../shared/byte-range.ts'
import { readDownloadSizes } from '../shared/download-sizes.ts'
import { failure } from '../shared/http-failure.ts'
import { readProblem } from '../shared/read-problem.ts'
import { TransferBody } from '../shared/transfer-body.ts'
import { fileEntry } from './entries.ts'
import { driveFailure } from './failure.ts'
import { type DriveId, keyHeader } from './ids.ts'
import { type DriveServer, look } from './server.ts'

const COUNT = /^\d{1,15}$/
/** How often a file is looked at that another version overtakes. */
const MAX_LOOKS = 2

/** The content of a file, or a document of Google's own in the format that was asked for, or its best. */
export async function downloadFile(server: DriveServer, about: DriveId, call: DownloadCall): Promise<Download> {
  for (let looks = 1; looks <= MAX_LOOKS; looks++) {
    const file = await look(server, about, call, 'OBJECT_NOT_FOUND')
    const { kind, exportFormats } = fileEntry(file, { parentId: null })
    if (kind === 'link') throw failure('UNSUPPORTED', 'It can be seen at Google alone')
    if (kind !== 'file') throw failure('OBJECT_NOT_FOUND')
    const format = formatOf(exportFormats, call.exportAs)
    if (format !== null) return exportDocument(server, about, file, format, call)
    const download = await downloadMedia(server, about, file, call)
    if (download !== null) return download
  }
  throw failure('PROVIDER_ERROR', 'Google Drive sends other bytes than it says the file has')
}

/** @throws StorageError `INVALID_REQUEST` */
function formatOf(formats: readonly ExportFormat[], wanted: string | undefined): ExportFormat | null {
  if (wanted === undefined) return formats[0] ?? null
  const format = formats.find(({ mimeType }) => mimeType === wanted)
  if (format === undefined) throw new StorageError('INVALID_REQUEST', 'The object cannot be had in this format.')
  return format
}

/** @returns `null` where the bytes are not those of this version: there is a newer one */
async function downloadMedia(
  server: DriveServer,
  about: DriveId,
  file: drive_v3.Schema$File,
  call: DownloadCall
): Promise<Download | null> {
  const { size, mimeType, version, modifiedAt } = fileEntry(file, { parentId: null })
  if (size === null) throw failure('PROVIDER_ERROR', 'Google Drive does not tell how large the file is')
  const range = call.range === undefined ? undefined : resolveRange(call.range, size)
  const answer = await request(server, about, mediaUrl(server, about), call, {
    ...(range !== undefined && { range: `bytes=${range.start}-${range.end}` })
  })
  const { status, headers } = answer
  if (status === 416) {
    await answer.discard()
    return null
  }
  if (status !== 200 && status !== 206) throw await refusal(server, answer, call)
  const length = readLength(answer)
  const sizes = readDownloadSizes(status === 206 ? (headers['content-range'] ?? '') : undefined, length, range)
  const isCoded = (headers['content-encoding'] ?? 'identity') !== 'identity'
  const isPart = status === 206
  if (isCoded || isPart !== (range !== undefined) || sizes === null || (sizes.size !== null && sizes.size !== size)) {
    drop(answer)
    return null
  }
  const expected = sizes.expected ?? size
  return { body: bodyOf(server, answer, expected, call), size, range: sizes.range, mimeType, etag: version, modifiedAt }
}

function mediaUrl({ origin }: DriveServer, { id }: DriveId): URL {
  return new URL(`/drive/v3/files/${id}?alt=media&supportsAllDrives=true`, origin)
}

/** Google makes it at that moment, so that it has no length and no ranges, and is 10 MB at most. */
async function exportDocument(
  server: DriveServer,
  about: DriveId,
  file: drive_v3.Schema$File,
  { mimeType, extension }: ExportFormat,
  call: DownloadCall
): Promise<Download> {
  const { version, modifiedAt } = fileEntry(file, { parentId: null })
  const url = new URL(`/drive/v3/files/${about.id}/export`, server.origin)
  url.searchParams.set('mimeType', mimeType)
  const answer = await request(server, about, url, call)
  if (answer.status !== 200) throw await refusal(server, answer, call)
  const expected = readLength(answer)
  const isChunked = /(?:^|[\s,])chunked\s*$/i.test(answer.headers['transfer-encoding'] ?? '')
  if (expected === null && !isChunked) {
    drop(answer)
    throw failure('PROVIDER_ERROR', 'Google Drive sends a document whose end nobody could see')
  }
  return {
    body: bodyOf(server, answer, expected, call),
    size: null,
    range: null,
    mimeType,
    // Each format of a version is something else.
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

function bodyOf(
  { timeouts }: DriveServer,
  answer: HttpAnswer,
  expected: number | null,
  { signal }: DownloadCall
): TransferBody {
  return new TransferBody(answer.body, {
    expected,
    idleMs: timeouts.idleMs,
    signal,
    toError: (error) => connectionFailure(error, 'A download from Google Drive')
  })
}

function readLength({ headers }: HttpAnswer): number | null {
  const length = headers['content-length']
  return length !== undefined && COUNT.test(length) ? Number(length) : null
}

function drop({ body }: HttpAnswer): void {
  body.on('error', () => {}).destroy()
}
