import { randomUUID } from 'node:crypto'
import type { Call } from '../../core/backend.ts'
import { httpFailure } from '../shared/errors.ts'
import { etagOfHead, find } from './upload.ts'
import { type ETag, isTold, readFacts } from './entries.ts'
import type { DavServer } from './session.ts'
import { discardFile, isGone, isStored, move, type MoveSupport, put, temporaryName } from './upload.ts'

/** The use of a server's ETags: as preconditions of writes, only to detect changes, or none (no ETags). */
export type Versions = 'strong' | 'weak' | 'none'

/** The ways of writing that a server supports, as measured. */
export interface WriteSupport {
  /** `If-Match` and `If-None-Match` of a PUT are checked. */
  readonly checksPreconditions: boolean
  /** `null` if a MOVE does not replace a file, or was not tried. */
  readonly moves: MoveSupport | null
}

export interface ProbedServer extends WriteSupport {
  readonly versions: Versions
}

interface ProbedWrites extends WriteSupport {
  /** The ETag of a new file: `null` for none, `undefined` if no file could be written. */
  readonly etag?: ETag | null
}

/** Maximum resources of a folder that are read to find the first file. */
const MAX_RESOURCES = 1000

/** Determines a server's abilities. Leaves no files behind. */
export async function probeServer(server: DavServer, call: Call): Promise<ProbedServer> {
  const { etag, ...support } = await probeWrites(server, call)
  return { ...support, versions: await versionsOf(server, etag, call) }
}

/**
 * Writes two small files with random names into the connected folder, moves one over the other, and removes them.
 * Only writing shows this: rclone's server checks the conditions of a GET and ignores those of a PUT, and the
 * response to a MOVE of a missing file is the same whether `Overwrite` is supported or not (2026-11). The files are
 * not in a folder of their own, which some servers would create for a PUT and might not remove again. If a DELETE of
 * a missing file is refused, nothing is written, since it could not be removed.
 */
async function probeWrites(server: DavServer, call: Call): Promise<ProbedWrites> {
  const unknown: ProbedWrites = { checksPreconditions: false, moves: null }
  const first = server.paths.urlOf(temporaryName())
  const second = server.paths.urlOf(temporaryName())
  const written: URL[] = []
  const write = async (url: URL, content: string, headers: Readonly<Record<string, string>> = {}): Promise<number> => {
    written.push(url)
    const body = Buffer.from(content)
    return requireAnswer('PUT', await put(server, { url, mimeType: undefined }, body, body.length, call, headers))
  }

  const removal = await server.client.send({ method: 'DELETE', url: first, signal: call.signal })
  await removal.discard()
  if (!isGone(requireAnswer('DELETE', removal))) return unknown
  try {
    const unmet = await write(first, '1', { 'if-match': `"${randomUUID()}"` })
    const checksIfMatch = unmet === 412
    const isWritten = isStored({ status: checksIfMatch ? await write(first, '1') : unmet })
    if (!isWritten || !isStored({ status: await write(second, '22') })) return unknown
    const checksPreconditions = checksIfMatch && (await write(second, '333', { 'if-none-match': '*' })) === 412
    const etag = (await find(server, second, call))?.facts.etag ?? (await etagOfHead(server, second, call))
    return { checksPreconditions, moves: await probeMoves(server, first, second, etag, call), etag }
  } finally {
    for (const url of new Set(written)) await discardFile(server, url)
  }
}

/** @param from a file of one byte @param to a larger file @param etag the ETag of `to` */
async function probeMoves(
  server: DavServer,
  from: URL,
  to: URL,
  etag: ETag | null,
  call: Call
): Promise<MoveSupport | null> {
  const send = async (headers: Readonly<Record<string, string>>): Promise<number> =>
    requireAnswer('MOVE', await move(server, from, to, call, headers))
  const isReplaced = async (): Promise<boolean> =>
    (await find(server, to, call))?.facts.size === 1 && (await find(server, from, call)) === null
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
function requireAnswer(method: string, answer: Parameters<typeof httpFailure>[1]): number {
  const { status } = answer
  // Apache answers 502 to a MOVE if its `Destination` has the scheme or port of a proxy in front of it.
  const isDown = status >= 502 && status <= 504 && method !== 'MOVE'
  if (status === 401 || status === 429 || isDown) {
    throw httpFailure(method, answer, 'FOLDER_NOT_FOUND')
  }
  return status
}

/**
 * Returns the kind of ETags of the first file in the folder. In a folder without files, its own ETag decides, then
 * that of a file that was just written: Apache's ETags are weak while a file is new. Without any of them, ETags are
 * assumed; if there are none after all, no version ever matches, and nothing is overwritten.
 */
async function versionsOf(server: DavServer, written: ETag | null | undefined, call: Call): Promise<Versions> {
  const { client, paths, propfind } = server
  const { signal } = call
  const { resources } = await client.propfind({ url: paths.base, signal, depth: 1, body: propfind }, 'FOLDER_NOT_FOUND')
  let own: ETag | null = null
  let file: { readonly id: string; readonly etag: ETag | null } | undefined
  let count = 0
  for await (const resource of resources) {
    const segments = paths.segmentsOf(resource.href)
    const { isCollection, etag } = readFacts(resource)
    if (segments?.length === 0) own = etag
    const id = segments?.length === 1 ? segments[0] : undefined
    if (id !== undefined && !isCollection && isTold(resource) && paths.isUsable(id)) {
      file = { id, etag }
      break
    }
    if (++count === MAX_RESOURCES) break
  }
  if (file !== undefined) return kindOf(file.etag ?? (await etagOfHead(server, paths.urlOf(file.id), call)))
  if (written === null) return 'none'
  const known = own ?? written
  return known === undefined ? 'strong' : kindOf(known)
}

function kindOf(etag: ETag | null): Versions {
  if (etag === null) return 'none'
  return etag.isWeak ? 'weak' : 'strong'
}
