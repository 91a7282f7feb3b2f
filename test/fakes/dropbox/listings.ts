import { randomBytes } from 'node:crypto'
import type { files } from 'dropbox'
import type { DropboxCall } from './call.ts'
import { DropboxFailure, endpointError, pathLookup } from './failure.ts'
import type { FakeDropboxKnobs } from './knobs.ts'
import { deletedMetadata, metadataOf, type Entry } from './metadata.ts'
import type { FakeDropboxNode } from './node.ts'
import type { DropboxChange } from './tree.ts'
import type { DropboxView } from './view.ts'
import { pageOf } from '../pages.ts'

/** Dropbox does not document its default page length. */
const DEFAULT_LIMIT = 500

/** One listing, from its first page to all later changes. */
interface Listing {
  readonly arg: files.ListFolderArg
  readonly folder: FakeDropboxNode
  /** Only this user can continue it. */
  readonly owner: string
  /** The state at the beginning. */
  readonly locations: readonly DropboxChange[]
}

/** The position in a listing. */
interface Progress {
  readonly listing: Listing
  /** Null once the initial state has been listed completely. */
  readonly start: number | null
  /** The first change that has not been reported. */
  readonly since: number
  readonly page: number
}

/** An issued cursor. */
interface IssuedCursor {
  readonly progress: Progress
  /** The path of the folder when the cursor was issued. */
  readonly path: string
  /** When it was issued or last used, in milliseconds since 1970. */
  usedAt: number
}

/** Handles `list_folder`, `list_folder/continue` and `list_folder/get_latest_cursor`. */
export class FakeDropboxListings {
  readonly #knobs: FakeDropboxKnobs
  readonly #now: () => Date
  readonly #cursors = new Map<string, IssuedCursor>()
  readonly #invalidated = new Set<string>()

  constructor(knobs: FakeDropboxKnobs, now: () => Date) {
    this.#knobs = knobs
    this.#now = now
  }

  /** Invalidates all cursors issued so far. */
  reset(): void {
    for (const cursor of this.#cursors.keys()) this.#invalidated.add(cursor)
    this.#cursors.clear()
  }

  start(call: DropboxCall): files.ListFolderResult {
    const { view } = call
    return this.#page(view, { listing: listingOf(call), start: 0, since: view.tree.changes.length, page: 0 })
  }

  /** Returns a cursor of the state that is reported now, which may lag behind that of a listing. */
  latest(call: DropboxCall): files.ListFolderGetLatestCursorResult {
    const { view } = call
    const since = this.#reportedCount(view)
    return { cursor: this.#issue(view, { listing: listingOf(call), start: null, since, page: 0 }) }
  }

  continue(call: DropboxCall): files.ListFolderResult {
    const { cursor } = call.arg as files.ListFolderContinueArg
    const issued = this.#cursors.get(cursor)
    const now = this.#now().getTime()
    const isExpired = issued !== undefined && now - issued.usedAt > this.#knobs.cursorLifetimeMs
    if (isExpired || this.#invalidated.has(cursor)) throw resetFailure()
    if (issued === undefined) throw call.mistake('Invalid "cursor" parameter')
    issued.usedAt = now
    const { progress } = issued
    const { folder, owner } = progress.listing
    if (owner !== ownerOf(call)) throw call.mistake('the cursor of another user or of another path root')
    if (call.view.tree.find(folder.id) === undefined) throw pathLookup({ '.tag': 'not_found' })
    const { movedFolderError } = this.#knobs
    if (movedFolderError !== undefined && issued.path !== pathOf(call.view, folder)) {
      throw movedFolderError === 'reset' ? resetFailure() : pathLookup({ '.tag': 'not_found' })
    }
    return this.#page(call.view, progress, cursor)
  }

  /** Returns whether there are changes since a cursor; or why that is not known. */
  hasChanges(cursor: string, tree: DropboxView['tree']): boolean | 'reset' | 'unknown' {
    const issued = this.#cursors.get(cursor)
    if (issued === undefined) return this.#invalidated.has(cursor) ? 'reset' : 'unknown'
    return nextChange({ tree }, issued.progress, this.#reportedCount({ tree })) !== undefined
  }

  /** Returns the number of changes that are old enough to be reported. */
  #reportedCount({ tree: { changes } }: Pick<DropboxView, 'tree'>): number {
    const end = this.#now().getTime() - this.#knobs.changeLagMs
    return changes.findLastIndex(({ time }) => time <= end) + 1
  }

  #page(view: DropboxView, progress: Progress, cursor?: string): files.ListFolderResult {
    const { emptyPages, extraPerPage, extraOnNextPages, pageFault } = this.#knobs
    const { listing, start } = progress
    const page = progress.page + 1
    if (emptyPages.includes(page)) return this.#result(view, [], { ...progress, page }, true)
    const size = (listing.arg.limit ?? DEFAULT_LIMIT) + (extraOnNextPages.shift() ?? extraPerPage)
    if (start === null) return this.#changes(view, { ...progress, page }, size)
    const { items, next } = pageOf(listing.locations, start, size, pageFault)
    const entries = items.flatMap((location) =>
      entryAt(view, listing.arg, location, listing.arg.include_deleted === true)
    )
    const nextProgress = { ...progress, page, start: next }
    const hasMore = next !== null || nextChange(view, nextProgress, this.#reportedCount(view)) !== undefined
    const repeatedCursor = pageFault === 'loops' && next === start ? cursor : undefined
    return this.#result(view, entries, nextProgress, hasMore, repeatedCursor)
  }

  #changes(view: DropboxView, progress: Progress, size: number): files.ListFolderResult {
    const locations = new Map<string, DropboxChange>()
    let nextProgress = progress
    const end = this.#reportedCount(view)
    const nextIndex = () => nextChange(view, nextProgress, end)
    for (let index = nextIndex(); index !== undefined; index = nextIndex()) {
      const change = view.tree.changes[index]
      const key = JSON.stringify([change?.parent, change?.name.toLowerCase()])
      if (change === undefined || (locations.size >= size && !locations.has(key))) break
      locations.set(key, change)
      nextProgress = { ...nextProgress, since: index + 1 }
    }
    const entries = [...locations.values()].flatMap((location) => entryAt(view, progress.listing.arg, location, true))
    return this.#result(view, entries, nextProgress, nextIndex() !== undefined)
  }

  #result(
    view: DropboxView,
    entries: Entry[],
    progress: Progress,
    has_more: boolean,
    repeatedCursor?: string
  ): files.ListFolderResult {
    return { entries, cursor: this.#issue(view, progress, repeatedCursor), has_more }
  }

  #issue(view: DropboxView, progress: Progress, cursor = randomBytes(48).toString('base64url')): string {
    const path = pathOf(view, progress.listing.folder)
    this.#cursors.set(cursor, { progress, path, usedAt: this.#now().getTime() })
    return cursor
  }
}

const resetFailure = () => new DropboxFailure(endpointError({ '.tag': 'reset' }))

const pathOf = (view: DropboxView, folder: FakeDropboxNode) => JSON.stringify(view.names(folder))

/** Returns the listing that a call requests. */
function listingOf(call: DropboxCall): Listing {
  const { view } = call
  const arg = call.arg as files.ListFolderArg
  const folder = view.node(arg.path)
  if (folder.kind === 'file') throw pathLookup({ '.tag': 'not_folder' })
  return { arg, folder, owner: ownerOf(call), locations: locationsIn(view, folder, arg) }
}

const ownerOf = ({ caller, view }: DropboxCall) => `${caller.user} ${view.base.id}`

/** Returns the nodes in an order that is neither by name nor by creation. */
function locationsIn(view: DropboxView, folder: FakeDropboxNode, arg: files.ListFolderArg): DropboxChange[] {
  const { tree } = view
  const nodes = arg.recursive === true ? descendants(view, folder) : tree.children(folder)
  const locations = nodes
    .sort((one, other) => one.rank - other.rank)
    .flatMap(({ parent, name }) => (parent === undefined ? [] : { parent, name }))
  if (arg.include_deleted !== true) return locations
  const folders = arg.recursive === true ? [folder, ...nodes] : [folder]
  const deleted = folders.flatMap((at) => tree.deletedNames(at).map((name) => ({ parent: at.id, name })))
  return [...deleted, ...locations]
}

/** Includes the folder itself, unless it is the root. */
function descendants(view: DropboxView, folder: FakeDropboxNode): FakeDropboxNode[] {
  const descendantsOf = (at: FakeDropboxNode): FakeDropboxNode[] =>
    view.tree.children(at).flatMap((child) => [child, ...descendantsOf(child)])
  return folder.id === view.base.id ? descendantsOf(folder) : [folder, ...descendantsOf(folder)]
}

/** Returns nothing for entries that were not requested. */
function entryAt(
  view: DropboxView,
  arg: files.ListFolderArg,
  location: DropboxChange,
  includesDeleted: boolean
): Entry[] {
  const folder = view.tree.find(location.parent)
  if (folder === undefined) return []
  const node = view.tree.child(folder, location.name)
  if (node === undefined) return includesDeleted ? [deletedMetadata(view, folder, location.name)] : []
  const isExcluded =
    (arg.include_mounted_folders === false && node.namespaceId !== undefined) ||
    (arg.include_non_downloadable_files === false && node.kind === 'file' && node.content === undefined)
  return isExcluded ? [] : [metadataOf(view, node, arg)]
}

/** Returns the index of the first change before `end` that concerns a listing and was not reported to it. */
function nextChange(
  { tree }: Pick<DropboxView, 'tree'>,
  { listing, since }: Progress,
  end: number
): number | undefined {
  const isInside = (id: string): boolean => {
    if (id === listing.folder.id) return true
    const above = listing.arg.recursive === true ? tree.find(id)?.parent : undefined
    return above !== undefined && isInside(above)
  }
  for (let index = since; index < end; index++) {
    if (isInside(tree.changes[index]?.parent ?? '')) return index
  }
  return undefined
}
