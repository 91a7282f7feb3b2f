import { randomUUID } from 'node:crypto'
import type { Call } from '../../core/backend.ts'
import type { ETag } from '../shared/entries.ts'
import { httpFailure } from '../shared/errors.ts'
import { hasProperties, readMetadata } from './entries.ts'
import { fetchETag } from './precondition.ts'
import { type DavSession, findResource } from './session.ts'
import { discardFile, isStored, move, type MoveSupport, put, temporaryName } from './upload.ts'

/** The use of a server's ETags: as preconditions of writes, only to detect changes, or none (no ETags). */
export type VersionSupport = 'strong' | 'weak' | 'none'

/** The ways of writing that a server supports, as measured. */
export interface WriteSupport {
  /** `If-Match` and `If-None-Match` of a PUT are checked. */
  readonly checksPreconditions: boolean
  /** `null` if a MOVE does not replace a file, or was not tried. */
  readonly moves: MoveSupport | null
}

export interface ServerFeatures extends WriteSupport {
  readonly versions: VersionSupport
}

interface ProbedWrites extends WriteSupport {
  /** The ETag of a new file: `null` for none, `undefined` if no file could be written. */
  readonly etag?: ETag | null
}

/** Maximum resources of a folder that are read to find the first file. */
const MAX_RESOURCES = 1000

/** Determines a server's abilities. Leaves no files behind. */
export async function probeServer(session: DavSession, call: Call): Promise<ServerFeatures> {
  const { etag, ...support } = await probeWrites(session, call)
  return { ...support, versions: await detectVersions(session, etag, call) }
}

/**
 * Writes two small files with random names into the connected folder, moves one over the other, and removes them.
 * Only writing shows this: rclone's server checks the conditions of a GET and ignores those of a PUT, and the
 * response to a MOVE of a missing file is the same whether `Overwrite` is supported or not (2026-11). The files are
 * not in a folder of their own, which some servers would create for a PUT and might not remove again. If a DELETE of
 * a missing file is refused, nothing is written, since it could not be removed.
 */
async function probeWrites(session: DavSession, call: Call): Promise<ProbedWrites> {
  const unsupported: ProbedWrites = { checksPreconditions: false, moves: null }
  const first = session.paths.urlOf(temporaryName())
  const second = session.paths.urlOf(temporaryName())
  const writtenUrls: URL[] = []
  const write = async (url: URL, content: string, headers: Readonly<Record<string, string>> = {}): Promise<number> => {
    writtenUrls.push(url)
    const body = Buffer.from(content)
    return requireMeaningfulStatus(
      'PUT',
      await put(session, { url, mimeType: undefined }, body, body.length, call, headers)
    )
  }

  const deleteResponse = await session.client.send({ method: 'DELETE', url: first, signal: call.signal })
  await deleteResponse.discard()
  if (!isGone(requireMeaningfulStatus('DELETE', deleteResponse))) return unsupported
  try {
    const conditionalStatus = await write(first, '1', { 'if-match': `"${randomUUID()}"` })
    const checksIfMatch = conditionalStatus === 412
    const isWritten = isStored({ status: checksIfMatch ? await write(first, '1') : conditionalStatus })
    if (!isWritten || !isStored({ status: await write(second, '22') })) return unsupported
    const checksPreconditions = checksIfMatch && (await write(second, '333', { 'if-none-match': '*' })) === 412
    const etag = (await findResource(session, second, call))?.metadata.etag ?? (await fetchETag(session, second, call))
    return { checksPreconditions, moves: await probeMoves(session, first, second, etag, call), etag }
  } finally {
    for (const url of new Set(writtenUrls)) await discardFile(session, url)
  }
}

/** Returns whether a DELETE removed the resource, or found none. */
function isGone(status: number): boolean {
  return (status >= 200 && status < 207) || status === 404 || status === 410
}

/** @param from a file of one byte @param to a larger file @param etag the ETag of `to` */
async function probeMoves(
  session: DavSession,
  from: URL,
  to: URL,
  etag: ETag | null,
  call: Call
): Promise<MoveSupport | null> {
  const send = async (headers: Readonly<Record<string, string>>): Promise<number> =>
    requireMeaningfulStatus('MOVE', await move(session, from, to, call, headers))
  const isReplaced = async (): Promise<boolean> =>
    (await findResource(session, to, call))?.metadata.size === 1 && (await findResource(session, from, call)) === null
  const ifTag = (tag: string): Record<string, string> => ({ if: `<${to.href}> ([${tag}])`, overwrite: 'T' })

  let status = await send({ overwrite: 'F' })
  const checksOverwrite = status === 412
  let checksIf = false
  if (checksOverwrite && etag !== null) {
    status = await send(ifTag(`"${randomUUID()}"`))
    // lighttpd 1.4 and rclone 1.60 refuse every ETag here, even the right one.
    if (status === 412) {
      status = await send(ifTag(`${etag.isWeak ? 'W/' : ''}"${etag.opaque}"`))
      checksIf = isStored({ status })
    }
  }
  if (status === 412) status = await send({ overwrite: 'T' })
  return isStored({ status }) && (await isReplaced()) ? { checksOverwrite, checksIf } : null
}

/** @returns the status, if it describes the server @throws StorageError for a status that concerns any request */
function requireMeaningfulStatus(method: string, response: Parameters<typeof httpFailure>[1]): number {
  const { status } = response
  // Apache answers 502 to a MOVE if its `Destination` has the scheme or port of a proxy in front of it.
  const isUnavailable = status >= 502 && status <= 504 && method !== 'MOVE'
  if (status === 401 || status === 429 || isUnavailable) {
    throw httpFailure(method, response, 'FOLDER_NOT_FOUND')
  }
  return status
}

/**
 * Returns the kind of ETags of the first file in the folder. In a folder without files, its own ETag decides, then
 * that of a file that was just written: Apache's ETags are weak while a file is new. Without any of them, ETags are
 * assumed; if there are none after all, no version ever matches, and nothing is overwritten.
 */
async function detectVersions(
  session: DavSession,
  writtenETag: ETag | null | undefined,
  call: Call
): Promise<VersionSupport> {
  const { client, paths, propfind } = session
  const { signal } = call
  const { resources } = await client.propfind({ url: paths.base, signal, depth: 1, body: propfind }, 'FOLDER_NOT_FOUND')
  let folderETag: ETag | null = null
  let file: { readonly id: string; readonly etag: ETag | null } | undefined
  let count = 0
  for await (const resource of resources) {
    const segments = paths.segmentsOf(resource.href)
    const { isCollection, etag } = readMetadata(resource)
    if (segments?.length === 0) folderETag = etag
    const id = segments?.length === 1 ? segments[0] : undefined
    if (id !== undefined && !isCollection && hasProperties(resource) && paths.isUsable(id)) {
      file = { id, etag }
      break
    }
    if (++count === MAX_RESOURCES) break
  }
  if (file !== undefined) return versionSupportOf(file.etag ?? (await fetchETag(session, paths.urlOf(file.id), call)))
  if (writtenETag === null) return 'none'
  const knownETag = folderETag ?? writtenETag
  return knownETag === undefined ? 'strong' : versionSupportOf(knownETag)
}

function versionSupportOf(etag: ETag | null): VersionSupport {
  if (etag === null) return 'none'
  return etag.isWeak ? 'weak' : 'strong'
}
