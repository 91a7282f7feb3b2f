import type { StorageBackend } from '../../../src/core/backend.ts'
import { type Change, type PageFreshness, ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import type { EntryPage } from '../../../src/core/entry.ts'
import { StorageError } from '../../../src/errors.ts'
import { entry } from '../backend/scripted-backend.ts'
import { Deferred } from '../time/deferred.ts'

/**
 * How the cloud reports changes: items by id (`ids`); only that something has changed, without marks (`unnamed`) or with
 * (`marked`); or by marks of folders alone (`marks`).
 */
export type FeedStyle = 'ids' | 'unnamed' | 'marked' | 'marks'

export interface CloudRules {
  readonly style: FeedStyle
  /** Longest lag of the feed behind a change, in milliseconds. */
  readonly feedLagMs: number
  /** Longest lag of listings and marks behind a change, in milliseconds. */
  readonly listLagMs: number
  /** Listings of the root contain its own id. */
  readonly hasRootId: boolean
  /** The feed reports what happened, in order (`events`), or the present state of what has changed (`states`). */
  readonly log: 'events' | 'states'
  /** With each item, the feed reports the folders above it. */
  readonly repeatsAncestors: boolean
  /** Entries show the names and versions of the folders above them, like paths and permissions. */
  readonly showsInherited: boolean
}

/** What the schedule decides about a call. Values are below 1. */
export interface CallFate {
  /** The call ends only when it is released. */
  readonly isHeld: boolean
  readonly hasFailed: boolean
  /** Share of the longest lag. */
  readonly lag: number
}

interface Item {
  readonly parent: string
  readonly version: number
  readonly isFolder: boolean
}
type State = ReadonlyMap<string, Item>

const ROOT = 'root'
/** A shared drive, with a scope of its own. */
export const DRIVE = 'drive'
/** A shortcut to the folder `a`. */
export const SHORTCUT = 'shortcut'
const FEED_PAGE_SIZE = 2

/** The parents of all items. The names of files begin with `f`. */
const INITIAL_PARENTS = {
  a: ROOT,
  b: ROOT,
  c: 'a',
  d: 'c',
  e: 'b',
  [DRIVE]: ROOT,
  f1: 'a',
  f2: 'b',
  f3: 'c',
  f4: DRIVE,
  f5: 'd'
}
const INITIAL: State = new Map<string, Item>(
  Object.entries(INITIAL_PARENTS).map(([id, parent]) => [id, { parent, version: 1, isFolder: !id.startsWith('f') }])
)

interface LogEntry {
  readonly visibleAt: number
  readonly changes: readonly Change[]
}

/** An item in the trash, with all that was in it. */
interface Trashed {
  readonly change: Change
  readonly scope: string
  readonly items: Map<string, Item>
}

/** A cloud in memory, of which every past state is known. */
export class ChangingCloud {
  readonly #rules: CloudRules
  readonly #time: () => number
  readonly #nextFate: () => CallFate
  readonly #history: { readonly at: number; readonly state: State }[]
  readonly #logs = new Map<string, LogEntry[]>()
  readonly #trash = new Map<string, Trashed>()
  readonly #held: Deferred<void>[] = []
  #epoch = 0

  constructor(rules: CloudRules, time: () => number, nextFate: () => CallFate) {
    this.#rules = rules
    this.#time = time
    this.#nextFate = nextFate
    this.#history = [{ at: -Infinity, state: INITIAL }]
  }

  /** Returns the contents of a folder at all times from `since` until now, as texts. */
  contentsSince(folderId: string | null, since: number): Set<string> {
    const later = this.#history.filter(({ at }) => at > since)
    return new Set([this.#contentAt(folderId, since), ...later.map(({ state }) => this.#contentOf(state, folderId))])
  }

  /**
   * Adds, moves, changes or restores an item. Nothing happens if that is impossible: a folder that was deleted does not
   * come back with its id. One in the trash comes back with its content, and is reported alone.
   */
  put(id: string, parent: string, feedLag: number): void {
    const state = this.#current()
    const restored = this.#trash.get(id)?.items ?? new Map<string, Item>()
    const previous = state.get(id) ?? restored.get(id)
    const isFolder = !id.startsWith('f')
    if (id === DRIVE || !isFolderOf(state, parent) || isInside(state, parent, id)) return
    if (isFolder && previous === undefined) return
    const from = state.has(id) ? scopeOf(state, id) : undefined
    const item = { parent, version: (previous?.version ?? 0) + 1, isFolder }
    this.#become(new Map([...state, ...restored]).set(id, item))
    this.#trash.delete(id)
    for (const { items } of this.#trash.values()) items.delete(id)
    const to = scopeOf(this.#current(), id)
    if (from !== undefined && from !== to) this.#report(from, [removal(id)], feedLag)
    const ancestors = this.#rules.repeatsAncestors ? ancestorsOf(state, parent) : []
    const changes = [id, ...ancestors].map((each) => presence(each, this.#current().get(each)!))
    this.#report(to, changes, feedLag)
  }

  /** @param isForever only the id is reported; otherwise the folder and the kind, too */
  remove(id: string, isForever: boolean, feedLag: number): void {
    const state = this.#current()
    const item = state.get(id)
    if (item === undefined) return
    const scope = id === DRIVE ? ROOT_SCOPE : scopeOf(state, id)
    this.#become(new Map([...state].filter(([other]) => !isInside(state, other, id))))
    if (id === DRIVE) {
      this.#report(scope, [{ ...removal(id), concerns: 'roots' }], feedLag)
    } else if (isForever) {
      this.#report(scope, [removal(id)], feedLag)
    } else {
      const change = { ...presence(id, item), isGone: true }
      this.#trash.set(id, { change, scope, items: new Map([...state].filter(([other]) => isInside(state, other, id))) })
      this.#report(scope, [change], feedLag)
    }
  }

  /** Only the ids of what is deleted are reported. */
  emptyTrash(feedLag: number): void {
    for (const [id, { scope }] of this.#trash) this.#report(scope, [removal(id)], feedLag)
    this.#trash.clear()
  }

  /** Forgets all positions. */
  losePositions(): void {
    this.#epoch += 1
  }

  /** Ends the oldest held call, or all. */
  release(count = Infinity): void {
    for (const held of this.#held.splice(0, count)) held.resolve()
  }

  /** Implements the calls of a backend. */
  backend(): Pick<StorageBackend, 'listFolder' | 'position' | 'changes' | 'isCurrent'> {
    const { style } = this.#rules
    const listFolder: StorageBackend['listFolder'] = (folderId) =>
      this.#call((lag) => this.#list(folderId, lag), 'never')
    const isCurrent: NonNullable<StorageBackend['isCurrent']> = (folderId, mark) =>
      this.#call((lag) => this.#contentAt(folderId, this.#time() - lag * this.#rules.listLagMs) === mark, 'often')
    if (style === 'marks') return { listFolder, isCurrent }
    return {
      listFolder,
      ...(style === 'marked' && { isCurrent }),
      position: (scope) => this.#call(() => `${this.#epoch}:${this.#visible(scope).length}`, 'seldom'),
      changes: (scope, position) => this.#call((lag) => this.#read(scope, position, lag), 'often')
    }
  }

  /** The result is that of the moment of the call, and arrives later if the call is held. */
  async #call<T>(run: (lag: number) => T, fails: 'never' | 'seldom' | 'often'): Promise<T> {
    const { isHeld, hasFailed, lag } = this.#nextFate()
    let result: T | undefined
    let error: unknown
    try {
      if (hasFailed && (fails === 'often' || (fails === 'seldom' && lag > 0.8)))
        throw new StorageError('PROVIDER_UNAVAILABLE')
      result = run(lag)
    } catch (thrown) {
      error = thrown
    }
    if (isHeld) {
      const held = new Deferred<void>()
      this.#held.push(held)
      await held.promise
    }
    if (error !== undefined) throw error as Error
    return result as T
  }

  #list(folderId: string | null, lag: number): EntryPage {
    const { style, listLagMs, hasRootId, showsInherited } = this.#rules
    const at = this.#time() - lag * listLagMs
    const state = this.#stateAt(at)
    const own = ownId(folderId)
    if (!isFolderOf(state, own)) throw new StorageError('FOLDER_NOT_FOUND')
    const content = this.#contentOf(state, folderId)
    const freshness: PageFreshness =
      style === 'marks'
        ? { mark: content }
        : {
            scope: own === ROOT ? ROOT_SCOPE : scopeOf(state, own),
            ...(style === 'marked' && { mark: content }),
            ...(own === DRIVE && { isTop: true })
          }
    const can = { list: null, download: null, write: showsInherited ? true : null }
    const entries = childrenOf(state, own).map(([id, { isFolder }]) =>
      entry(id, {
        name: this.#nameOf(state, id),
        parentId: own,
        kind: id === DRIVE ? 'drive' : isFolder ? 'folder' : 'file',
        can
      })
    )
    const id = own === ROOT && !hasRootId ? null : own
    return { folder: { id, name: null, parentId: null }, entries, next: null, complete: true, reason: null, freshness }
  }

  /** One page, with changes repeated and in reverse order, as the lag decides. */
  #read(scope: string, position: string, lag: number) {
    const [epoch, at] = position.split(':').map(Number) as [number, number]
    // The log of a drive ends with it.
    if (epoch !== this.#epoch || (scope !== ROOT_SCOPE && !this.#current().has(scope))) return 'lost' as const
    const visible = this.#visible(scope)
    const end = Math.min(visible.length, at + FEED_PAGE_SIZE)
    const repeated = Math.floor(lag * 3)
    const logged = visible.slice(Math.max(0, at - repeated), end).flatMap(({ changes }) => changes)
    if (lag > 0.5) logged.reverse()
    const { style, log } = this.#rules
    const changes = log === 'events' ? logged : logged.map((change) => this.#toPresent(change, scope))
    const isAnonymous = style !== 'ids'
    return {
      position: `${epoch}:${end}`,
      changes: isAnonymous ? changes.map((change) => ({ ...change, id: null, parentId: null })) : changes,
      hasMore: end < visible.length
    }
  }

  #visible(scope: string): LogEntry[] {
    const now = this.#time()
    const log = this.#logs.get(scope) ?? []
    return log.filter(({ visibleAt }) => visibleAt <= now).sort((a, b) => a.visibleAt - b.visibleAt)
  }

  /** Returns true if the feed will report more that has happened already. */
  #hasHidden(scope: string): boolean {
    const now = this.#time()
    return (this.#logs.get(scope) ?? []).some(({ visibleAt }) => visibleAt > now)
  }

  #report(scope: string, changes: readonly Change[], feedLag: number): void {
    const { feedLagMs, log: kind } = this.#rules
    const log = this.#logs.get(scope) ?? []
    const visibleAt = this.#time() + Math.floor(feedLag * feedLagMs)
    // What happened to an item before it was deleted with a folder does not become visible afterwards.
    const earliest = kind === 'events' ? (log.at(-1)?.visibleAt ?? 0) : 0
    log.push({ visibleAt: Math.max(visibleAt, earliest), changes })
    this.#logs.set(scope, log)
  }

  /** Returns what the feed reports about an item that has changed at any time before. */
  #toPresent(change: Change, scope: string): Change {
    const { id, concerns } = change
    if (id === null || concerns === 'roots') return change
    const state = this.#current()
    const item = state.get(id)
    if (item !== undefined && scopeOf(state, id) === scope) return presence(id, item)
    // That it has disappeared, perhaps with a folder above, is not used before the feed has reported it.
    if (this.#hasHidden(scope)) return change
    const trashed = this.#trash.get(id)
    return trashed?.scope === scope ? trashed.change : removal(id)
  }

  #become(state: State): void {
    this.#history.push({ at: this.#time(), state })
  }

  #current(): State {
    return this.#stateAt(this.#time())
  }

  #stateAt(time: number): State {
    return this.#history.findLast(({ at }) => at <= time)?.state ?? INITIAL
  }

  #contentAt(folderId: string | null, time: number): string {
    return this.#contentOf(this.#stateAt(time), folderId)
  }

  #contentOf(state: State, folderId: string | null): string {
    const own = ownId(folderId)
    if (!isFolderOf(state, own)) return MISSING
    return contentText(childrenOf(state, own).map(([id]) => this.#nameOf(state, id)))
  }

  #nameOf(state: State, id: string): string {
    const shown = this.#rules.showsInherited ? [id, ...ancestorsOf(state, state.get(id)!.parent)] : [id]
    return shown.map((each) => `${each}@${state.get(each)!.version}`).join('<')
  }
}

export const MISSING = 'missing'

/** Returns a folder's content as a listing shows it, as a text. */
export function contentText(names: readonly string[]): string {
  return [...names].sort().join(' ')
}

function presence(id: string, { parent, isFolder }: Item): Change {
  return { id, path: null, parentId: parent, isFolder, isGone: false, concerns: 'item' }
}

/** A removal of which only the id is reported. */
function removal(id: string): Change {
  return { id, path: null, parentId: null, isFolder: null, isGone: true, concerns: 'item' }
}

/** Returns a folder and those above it, without the root. */
function ancestorsOf(state: State, folder: string): string[] {
  const found: string[] = []
  for (let item = state.get(folder); item !== undefined; item = state.get(folder)) {
    found.push(folder)
    folder = item.parent
  }
  return found
}

function ownId(folderId: string | null): string {
  if (folderId === null) return ROOT
  return folderId === SHORTCUT ? 'a' : folderId
}

function childrenOf(state: State, folder: string): [string, Item][] {
  return [...state].filter(([, { parent }]) => parent === folder)
}

function isFolderOf(state: State, id: string): boolean {
  return id === ROOT || state.get(id)?.isFolder === true
}

/** Returns true if `folder` contains the item, or is it. */
function isInside(state: State, id: string, folder: string): boolean {
  for (let at: string | undefined = id; at !== undefined; at = state.get(at)?.parent) {
    if (at === folder) return true
  }
  return false
}

function scopeOf(state: State, id: string): string {
  return isInside(state, id, DRIVE) ? DRIVE : ROOT_SCOPE
}
