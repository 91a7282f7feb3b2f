import type { EntryPage } from '../../domain/entry.ts'
import { StorageError } from '../../domain/errors.ts'
import type { ListCall } from '../../domain/storage-backend.ts'
import type { Properties } from '../dav/client.ts'
import { type Children, folderInfo, readChildren } from '../dav/listing.ts'
import type { DavServer } from '../dav/server.ts'
import { wholeFolder } from '../dav/whole-listing.ts'
import { type CutPages, MAX_FOLDER_ENTRIES } from '../shared/cut-pages.ts'
import { failure } from '../shared/http-failure.ts'

/** Where the server's own pages go on. */
interface Place {
  readonly offset: number
  readonly total: number
  readonly token: string
}

const CURSOR = /^n\.(\d{1,9})\.(\d{1,9})\.([\w+/=-]{1,200})$/
const TOKEN = /^[\w+/=-]{1,200}$/
const TOTAL = /^\d{1,9}$/
/** A server keeps an answer for an hour, and then lists anew. */
const EXPIRED = 'The listing cannot be continued: start again.'

/**
 * A page of a folder: the server's own where it has pages, else one that is cut out of its whole answer. Which of the
 * two shows in the answer; a server that knows pages sends a folder that fits one without saying so.
 */
export async function listPages(
  pages: CutPages,
  owner: string,
  server: DavServer,
  folderId: string | null,
  call: ListCall
): Promise<EntryPage> {
  const place = readPlace(call.cursor)
  const ofWhole = `${owner} ${folderId ?? ''}`
  if (place !== null) return nextPage(server, folderId, place, call)
  if (call.cursor !== undefined)
    return pages.page(ofWhole, call, () => Promise.reject(new Error('a cursor loads nothing')))

  // The folder itself is the first item.
  const count = call.limit + 1
  const told = await request(server, folderId, call, { 'x-nc-paginate-count': String(count) })
  const { 'x-nc-paginate': isPage, 'x-nc-paginate-token': token, 'x-nc-paginate-total': total } = told.answer.headers
  if (isPage === undefined && token === undefined) {
    const children = await readChildren(server, folderId, told, { maxEntries: MAX_FOLDER_ENTRIES, expectSelf: true })
    return pages.page(ofWhole, call, async () => wholeFolder(folderId, children))
  }
  // A page that cannot be continued must not pass for all there is.
  if (isPage !== 'true' || token === undefined || !TOKEN.test(token) || !TOTAL.test(total ?? '')) {
    await letGo(told)
    throw failure('PROVIDER_ERROR', 'The server sent a page and does not say of what')
  }
  const children = await readChildren(server, folderId, told, { maxEntries: call.limit, expectSelf: true })
  return toPage(folderId, children, { offset: 0, total: Number(total), token }, call)
}

async function nextPage(
  server: DavServer,
  folderId: string | null,
  { offset, total, token }: Place,
  call: ListCall
): Promise<EntryPage> {
  const told = await request(server, folderId, call, {
    'x-nc-paginate-token': token,
    'x-nc-paginate-offset': String(offset),
    'x-nc-paginate-count': String(call.limit)
  })
  // Out of what it kept it answers without a token; with a new one, or none of this, it has listed anew.
  const { headers } = told.answer
  if (headers['x-nc-paginate'] !== 'true' || headers['x-nc-paginate-token'] !== undefined) {
    await letGo(told)
    throw new StorageError('CURSOR_EXPIRED', EXPIRED)
  }
  const children = await readChildren(server, folderId, told, { maxEntries: call.limit, expectSelf: false })
  return toPage(folderId, children, { offset, total, token }, call)
}

function request(server: DavServer, folderId: string | null, call: ListCall, headers: Record<string, string>) {
  const { client, paths, propfind } = server
  const asked = { 'x-nc-paginate': 'true', ...headers }
  return client.propfind(
    { url: paths.folderUrlOf(folderId), signal: call.signal, depth: 1, body: propfind, headers: asked },
    'FOLDER_NOT_FOUND'
  )
}

async function letGo({ answer, resources }: Properties): Promise<void> {
  await resources.return(undefined)
  answer.body.destroy()
}

/** @param place where this page began: the next one begins behind what it had, however much was asked for */
function toPage(
  folderId: string | null,
  { entries, lost, seen }: Children,
  { offset: start, total, token }: Place,
  { kind }: ListCall
): EntryPage {
  const offset = start + seen
  // A page of nothing would be followed by another one, for ever.
  const isLast = offset >= total || seen === 0
  const reason = lost || (isLast && offset < total) ? 'provider-partial' : null
  return {
    folder: folderInfo(folderId),
    entries: kind === undefined ? entries : entries.filter((entry) => entry.kind === kind),
    next: isLast ? null : `n.${offset}.${total}.${token}`,
    complete: isLast && reason === null,
    reason: reason ?? (isLast ? null : 'more')
  }
}

function readPlace(cursor: string | undefined): Place | null {
  const [, offset, total, token] = cursor === undefined ? [] : (CURSOR.exec(cursor) ?? [])
  return token === undefined ? null : { offset: Number(offset), total: Number(total), token }
}
