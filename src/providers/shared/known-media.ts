import type { HttpAnswer } from '../../domain/egress.ts'
import type { Entry } from '../../domain/entry.ts'
import type { StorageError } from '../../domain/errors.ts'
import type { Download, DownloadCall } from '../../domain/storage-backend.ts'
import { connectionFailure } from '../../infra/net/connection-failure.ts'
import { resolveRange } from './byte-range.ts'
import { sizesOf } from './download-sizes.ts'
import { failure } from './http-failure.ts'
import { TransferBody } from './transfer-body.ts'

/** Maximum attempts to download a file that changes between the metadata request and the download. */
const MAX_LOOKS = 2

/** The metadata of a file, read before its content is requested. */
export type KnownFile = Pick<Entry, 'name' | 'size' | 'mimeType' | 'version' | 'modifiedAt'>

/** The content requests of a provider. */
export interface MediaSource {
  /** The provider's name, for the log. */
  readonly service: string
  /** Requests the content, as a transfer. @param headers `range` for a part of the content */
  readonly request: (headers: Readonly<Record<string, string>>) => Promise<HttpAnswer>
  /** Maps an error response to a StorageError. Consumes or discards the body. */
  readonly refusal: (answer: HttpAnswer) => Promise<StorageError>
  readonly idleMs: number
}

/** Reads a file's metadata and downloads it. Repeats once if `download` returns `null` (newer version). */
export async function downloadNewest<File>(
  service: string,
  look: () => Promise<File>,
  download: (file: File) => Promise<Download | null>
): Promise<Download> {
  for (let looks = 1; looks <= MAX_LOOKS; looks++) {
    const found = await download(await look())
    if (found !== null) return found
  }
  throw failure('PROVIDER_ERROR', `The content from ${service} does not match the file's metadata`)
}

/**
 * Downloads the content, or the requested range, of a file of known size.
 *
 * @returns `null` if the bytes belong to another, newer version
 * @throws StorageError `RANGE_NOT_SATISFIABLE`, `INVALID_REQUEST`, and the errors of `refusal`
 */
export async function downloadKnown(
  file: KnownFile,
  call: DownloadCall,
  { service, request, refusal, idleMs }: MediaSource
): Promise<Download | null> {
  const { name, size, mimeType, version, modifiedAt } = file
  if (size === null) throw failure('PROVIDER_ERROR', `${service} returned no file size`)
  const range = call.range === undefined ? undefined : resolveRange(call.range, size)
  const answer = await request(range === undefined ? {} : { range: `bytes=${range.start}-${range.end}` })
  const { status } = answer
  if (status === 416) {
    await answer.discard()
    return null
  }
  if (status !== 200 && status !== 206) throw await refusal(answer)
  const sizes = sizesOf(answer, range)
  if (sizes === null || (status === 206) !== (range !== undefined) || (sizes.size ?? size) !== size) {
    dropBody(answer)
    return null
  }
  const body = bodyOf(answer, sizes.expected ?? size, { service, idleMs, signal: call.signal })
  return { body, size, range: sizes.range, mimeType, name, etag: version, modifiedAt }
}

/** Wraps the body of a transfer. @param expected its length in bytes; `null` if unknown */
export function bodyOf(
  answer: HttpAnswer,
  expected: number | null,
  { service, idleMs, signal }: { service: string; idleMs: number; signal: AbortSignal }
): TransferBody {
  const toError = (error: unknown): Error => connectionFailure(error, `A download from ${service}`)
  return new TransferBody(answer.body, { expected, idleMs, signal, toError })
}

/** Closes a body at once instead of draining it: it may be long. */
export function dropBody({ body }: Pick<HttpAnswer, 'body'>): void {
  body.on('error', () => {}).destroy()
}
