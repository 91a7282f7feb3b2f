import { randomUUID } from 'node:crypto'
import type { DriveItem } from '@microsoft/microsoft-graph-types'
import type { GraphCall } from './call.ts'
import type { FakeGraphDrive } from './drive.ts'
import { GraphFailure, GraphMistake } from './failure.ts'
import { itemResource } from './item.ts'
import type { FakeGraphKnobs } from './knobs.ts'
import { isFolder, type FakeGraphNode } from './node.ts'
import { ITEM_PROPERTIES } from './select.ts'

/** What a token stands for. */
interface Position {
  readonly drive: FakeGraphDrive
  /** The number of changes that the client has read, without those that are pending. */
  readonly read: number
  /** The rest of the items on the pages that the client is reading. */
  readonly pending: readonly FakeGraphNode[]
}

const DEFAULT_PAGE_SIZE = 200
/** The hash of a deleted file in organisations. */
const NO_HASH = `${'A'.repeat(27)}=`

/**
 * The feeds of changes of drives. An item appears once, in its present state, after the root and the folders above it;
 * these are repeated on each page. The old folder of a moved item is not told.
 */
export class FakeGraphDelta {
  readonly #knobs: FakeGraphKnobs
  readonly #now: () => Date
  readonly #positions = new Map<string, Position>()
  readonly #expired = new Set<string>()

  constructor(knobs: FakeGraphKnobs, now: () => Date) {
    this.#knobs = knobs
    this.#now = now
  }

  expire(): void {
    for (const token of this.#positions.keys()) this.#expired.add(token)
    this.#positions.clear()
  }

  send(call: GraphCall, origin: string): void {
    const { route, view } = call
    const drive = view.drive(route)
    // Checks that the caller may read the root.
    view.node(route)
    const { noFeedError, pageFault } = this.#knobs
    if (noFeedError !== undefined) throw new GraphFailure(noFeedError)
    const select = call.select(ITEM_PROPERTIES)
    const query = call.text('token')
    if (route.token !== undefined && query !== null) throw new GraphMistake('a token in the path, and another one')
    const token = route.token ?? query
    const visible = this.#visibleChanges(drive)
    if (token === 'latest') {
      const position = { drive, read: visible, pending: [] }
      this.#respond(call, [], 'deltaLink', origin, this.#tokenOf(position))
      return
    }
    const since = token === null ? this.#wholeDrive(drive, visible) : this.#positionOf(token, drive, call, origin)
    const isNewRound = since.pending.length === 0
    const read = isNewRound ? visible : since.read
    const changed = isNewRound ? changedNodes(drive, since.read, visible) : since.pending
    const items = this.#knobs.omitsDeletedContent ? changed.filter((node) => !isInDeletedFolder(node, drive)) : changed
    const size = Math.min(
      Number(call.text('$top') ?? DEFAULT_PAGE_SIZE),
      this.#knobs.pageLimit,
      this.#knobs.shortPages.shift() ?? Infinity
    )
    const page = items.slice(0, size)
    const pending = items.slice(size)
    const value = withAncestors(page, drive).map((node) => select.apply(resourceOf(node, drive, call)))
    if (pending.length === 0) {
      this.#respond(call, value, 'deltaLink', origin, this.#tokenOf({ drive, read, pending: [] }))
      return
    }
    // The same page again and again (onedrive-api-docs issue 1431).
    const next = pageFault === 'loops' && token !== null ? token : this.#tokenOf({ drive, read, pending })
    this.#respond(call, value, 'nextLink', origin, next)
  }

  #respond(call: GraphCall, value: object[], link: 'nextLink' | 'deltaLink', origin: string, token: string): void {
    const context = `${origin}/v1.0/$metadata#Collection(driveItem)`
    call.send({ '@odata.context': context, value, [`@odata.${link}`]: this.#linkTo(call, origin, token) })
  }

  /** Returns the number of changes that are old enough to be visible. */
  #visibleChanges({ journal }: FakeGraphDrive): number {
    const newest = this.#now().getTime() - this.#knobs.feedLagMs
    return journal.findLastIndex(({ at }) => at <= newest) + 1
  }

  /** Without a token, the feed enumerates the drive. */
  #wholeDrive(drive: FakeGraphDrive, read: number): Position {
    return { drive, read, pending: [...drive.nodes()].filter(({ isRoot }) => !isRoot) }
  }

  #positionOf(token: string, drive: FakeGraphDrive, call: GraphCall, origin: string): Position {
    if (this.#expired.has(token)) {
      const fresh = this.#tokenOf(this.#wholeDrive(drive, this.#visibleChanges(drive)))
      const location = `${origin}${drivePath(drive)}/delta?token=${encodeURIComponent(fresh)}`
      const code = drive.kind === 'business' ? 'resyncRequired' : 'resyncChangesApplyDifferences'
      throw new GraphFailure({ code, headers: { location } })
    }
    const position = this.#positions.get(token)
    if (position === undefined) throw new GraphMistake('a token of the feed that was never handed out')
    if (position.drive !== drive) throw new GraphMistake(`a token of another drive in ${call.request.path}`)
    return position
  }

  #tokenOf(position: Position): string {
    const { drive, read } = position
    const ticks = this.#now().getTime() * 10_000
    const plain = `3;%234;%231;3;${randomUUID()};${ticks};${read};%23;%23;%230`
    // Either is opaque. Formerly, organisations had tokens like the first one.
    const isPlain = drive.kind === 'business' && this.#knobs.feedLinks === 'qualified'
    const token = isPlain ? decodeURIComponent(plain) : Buffer.from(plain).toString('base64url')
    this.#positions.set(token, position)
    return token
  }

  #linkTo(call: GraphCall, origin: string, token: string): string {
    const { query, path } = call.request
    const text = encodeURIComponent(token)
    const drive = call.view.drive(call.route)
    const isQualified = this.#knobs.feedLinks === 'qualified'
    const search = [...query]
      .filter(([name]) => isQualified || name !== 'token')
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}&`)
      .join('')
    if (isQualified) return `${origin}/v1.0/drives('${drive.id}')/root/microsoft.graph.delta(token='${text}')?${search}`
    if (this.#knobs.feedLinks === 'function') return `${origin}${drivePath(drive)}/delta(token='${text}')?${search}`
    return `${origin}${path.replace(/\/[^/]*$/, '')}/delta?${search}token=${text}`
  }
}

function drivePath({ id }: FakeGraphDrive): string {
  return `/v1.0/drives/${id}/root`
}

/** Returns each changed item once, in the order of the last changes. */
function changedNodes({ journal }: FakeGraphDrive, start: number, end: number): FakeGraphNode[] {
  const nodes = new Set<FakeGraphNode>()
  for (const { node } of journal.slice(start, end)) {
    nodes.delete(node)
    nodes.add(node)
  }
  return [...nodes].filter(({ isRoot }) => !isRoot)
}

/** Adds the folders above the items, the highest first. Personal accounts have the root even without a change. */
function withAncestors(page: readonly FakeGraphNode[], drive: FakeGraphDrive): FakeGraphNode[] {
  const ancestors = new Set<FakeGraphNode>(page.length > 0 || drive.kind === 'personal' ? [drive.root] : [])
  for (const node of page) {
    const path: FakeGraphNode[] = []
    const parentId = isDeleted(node, drive) ? drive.deletedFrom(node) : node.parent
    let ancestor = parentId === undefined ? undefined : drive.find(parentId)
    for (; ancestor !== undefined; ancestor = drive.parentOf(ancestor)) path.unshift(ancestor)
    for (const each of path) ancestors.add(each)
  }
  return [...ancestors, ...page.filter((node) => !ancestors.has(node))]
}

function isInDeletedFolder(node: FakeGraphNode, drive: FakeGraphDrive): boolean {
  const folder = isDeleted(node, drive) ? drive.deletedFrom(node) : undefined
  return folder !== undefined && drive.find(folder) === undefined
}

function isDeleted(node: FakeGraphNode, drive: FakeGraphDrive): boolean {
  return drive.find(node.id) !== node
}

function resourceOf(node: FakeGraphNode, drive: FakeGraphDrive, call: GraphCall): DriveItem {
  if (isDeleted(node, drive)) return tombstoneOf(node, drive)
  const item = itemResource(node, call.view.tree, call.select(ITEM_PROPERTIES))
  // "The parentReference property on items won't include a value for path": personal accounts do contain it.
  if (drive.kind === 'personal' || item.parentReference == null) return item
  const { path: _path, ...parentReference } = item.parentReference
  return { ...item, parentReference }
}

/** In organisations, deleted items have no name. */
function tombstoneOf(node: FakeGraphNode, drive: FakeGraphDrive): DriveItem {
  const { id, name, content } = node
  const parentId = drive.deletedFrom(node)
  const isPersonal = drive.kind === 'personal'
  return {
    id,
    ...(isPersonal ? { name } : { size: 0 }),
    parentReference: {
      driveId: isPersonal ? drive.id.toUpperCase() : drive.id,
      driveType: drive.driveType,
      ...(parentId !== undefined && { id: parentId })
    },
    ...(content !== undefined && { file: isPersonal ? {} : { hashes: { quickXorHash: NO_HASH } } }),
    ...(isFolder(node) && { folder: {} }),
    deleted: isPersonal ? {} : { state: 'deleted' }
  }
}
