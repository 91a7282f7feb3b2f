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

/** Handles `list_folder` and `list_folder/continue`. */
export class FakeDropboxListings {
  readonly #knobs: FakeDropboxKnobs
  readonly #cursors = new Map<string, Progress>()
  readonly #invalidated = new Set<string>()

  constructor(knobs: FakeDropboxKnobs) {
    this.#knobs = knobs
  }

  /** Invalidates all cursors issued so far. */
  reset(): void {
    for (const cursor of this.#cursors.keys()) this.#invalidated.add(cursor)
    this.#cursors.clear()
  }

  start(call: DropboxCall): files.ListFolderResult {
    const { view } = call
    const arg = call.arg as files.ListFolderArg
    const folder = view.node(arg.path)
    if (folder.kind === 'file') throw pathLookup({ '.tag': 'not_folder' })
    const locations = locationsIn(view, folder, arg)
    const listing = { arg, folder, owner: ownerOf(call), locations }
    return this.#page(view, { listing, start: 0, since: view.tree.changes.length, page: 0 })
  }

  continue(call: DropboxCall): files.ListFolderResult {
    const { cursor } = call.arg as files.ListFolderContinueArg
    const progress = this.#cursors.get(cursor)
    if (this.#invalidated.has(cursor)) throw new DropboxFailure(endpointError({ '.tag': 'reset' }))
    if (progress === undefined) throw call.mistake('Invalid "cursor" parameter')
    const { folder, owner } = progress.listing
    if (owner !== ownerOf(call)) throw call.mistake('the cursor of another user or of another path root')
    if (call.view.tree.find(folder.id) === undefined) throw pathLookup({ '.tag': 'not_found' })
    return this.#page(call.view, progress, cursor)
  }

  #page(view: DropboxView, progress: Progress, cursor?: string): files.ListFolderResult {
    const { emptyPages, extraPerPage, extraOnNextPages, pageFault } = this.#knobs
    const { listing, start } = progress
    const page = progress.page + 1
    if (emptyPages.includes(page)) return this.#result([], { ...progress, page }, true)
    const size = (listing.arg.limit ?? DEFAULT_LIMIT) + (extraOnNextPages.shift() ?? extraPerPage)
    if (start === null) return this.#changes(view, { ...progress, page }, size)
    const { items, next } = pageOf(listing.locations, start, size, pageFault)
    const entries = items.flatMap((location) =>
      entryAt(view, listing.arg, location, listing.arg.include_deleted === true)
    )
    const nextProgress = { ...progress, page, start: next }
    const hasMore = next !== null || nextChange(view, nextProgress) !== undefined
    return this.#result(entries, nextProgress, hasMore, pageFault === 'loops' && next === start ? cursor : undefined)
  }

  #changes(view: DropboxView, progress: Progress, size: number): files.ListFolderResult {
    const locations = new Map<string, DropboxChange>()
    let nextProgress = progress
    for (let index = nextChange(view, nextProgress); index !== undefined; index = nextChange(view, nextProgress)) {
      const change = view.tree.changes[index]
      const key = JSON.stringify([change?.parent, change?.name.toLowerCase()])
      if (change === undefined || (locations.size >= size && !locations.has(key))) break
      locations.set(key, change)
      nextProgress = { ...nextProgress, since: index + 1 }
    }
    const entries = [...locations.values()].flatMap((location) => entryAt(view, progress.listing.arg, location, true))
    return this.#result(entries, nextProgress, nextChange(view, nextProgress) !== undefined)
  }

  #result(entries: Entry[], progress: Progress, has_more: boolean, repeatedCursor?: string): files.ListFolderResult {
    const cursor = repeatedCursor ?? randomBytes(48).toString('base64url')
    this.#cursors.set(cursor, progress)
    return { entries, cursor, has_more }
  }
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

/** Returns the index of the first unreported change that concerns a listing. */
function nextChange({ tree }: DropboxView, { listing, since }: Progress): number | undefined {
  const isInside = (id: string): boolean => {
    if (id === listing.folder.id) return true
    const above = listing.arg.recursive === true ? tree.find(id)?.parent : undefined
    return above !== undefined && isInside(above)
  }
  for (let index = since; index < tree.changes.length; index++) {
    if (isInside(tree.changes[index]?.parent ?? '')) return index
  }
  return undefined
}
