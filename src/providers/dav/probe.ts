import { randomUUID } from 'node:crypto'
import type { Call } from '../../domain/storage-backend.ts'
import { httpFailure } from '../shared/http-failure.ts'
import { type ETag, isTold, readFacts } from './properties.ts'
import type { DavServer } from './server.ts'

/** What a server's ETags are good for: preconditions of writes, telling changes, or nothing since there are none. */
export type Versions = 'strong' | 'weak' | 'none'

/** So many resources are looked at for the first file. */
const MAX_RESOURCES = 1000

/**
 * Whether a server checks the preconditions of a PUT, found out without writing: one that nobody can fulfil, since the
 * folder is not there and a PUT must not make it (RFC 4918, 9.7.1), under a condition that does not hold. Who answers
 * 412 looked at the condition, as sabre, Nextcloud and Apache do; who misses the folder did not (2026-11).
 */
export async function checksPreconditions({ client, paths }: DavServer, { signal }: Call): Promise<boolean> {
  const folder = `${randomUUID()}/`
  const answer = await client.send({
    method: 'PUT',
    url: paths.urlOf(folder + randomUUID()),
    signal,
    headers: { 'if-match': `"${randomUUID()}"`, 'content-type': 'application/octet-stream' },
    body: ''
  })
  await answer.discard()
  if (answer.status < 300) {
    // Some servers make the folder for it, against the RFC and the condition: it must not stay.
    const removal = await client.send({ method: 'DELETE', url: paths.urlOf(folder), signal })
    await removal.discard()
  }
  const isNoAnswer = answer.status === 401 || answer.status === 429 || (answer.status >= 502 && answer.status <= 504)
  if (isNoAnswer) throw httpFailure('PUT', answer, 'FOLDER_NOT_FOUND')
  return answer.status === 412
}

/**
 * The kind of ETags that the first file in the folder has. Where there is no file, the folder's own one tells. Where it
 * has none either, which says nothing of files (sabre's folders have none), they are expected: should there be none after
 * all, no version ever matches, and nothing is overwritten.
 */
export async function versionsOf({ client, paths, propfind }: DavServer, { signal }: Call): Promise<Versions> {
  const { resources } = await client.propfind({ url: paths.base, signal, depth: 1, body: propfind }, 'FOLDER_NOT_FOUND')
  let own: ETag | null = null
  let count = 0
  for await (const resource of resources) {
    const depth = paths.segmentsOf(resource.href)?.length
    const { isCollection, etag } = readFacts(resource)
    if (depth === 0) own = etag
    if (depth === 1 && !isCollection && isTold(resource)) return kindOf(etag)
    if (++count === MAX_RESOURCES) break
  }
  return own === null ? 'strong' : kindOf(own)
}

function kindOf(etag: ETag | null): Versions {
  if (etag === null) return 'none'
  return etag.isWeak ? 'weak' : 'strong'
}
