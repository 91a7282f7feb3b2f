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

const INITIAL: State = new Map<string, Item>([
  ['a', { parent: ROOT, version: 1, isFolder: true }],
  ['b', { parent: ROOT, version: 1, isFolder: true }],
  ['c', { parent: 'a', version: 1, isFolder: true }],
  [DRIVE, { parent: ROOT, version: 1, isFolder: true }],
  ['f1', { parent: 'a', version: 1, isFolder: false }],
  ['f2', { parent: 'b', version: 1, isFolder: false }],
  ['f3', { parent: 'c', version: 1, isFolder: false }],
  ['f4', { parent: DRIVE, version: 1, isFolder: false }]
])

/** A cloud in memory, of which every past state is known. */
export class ChangingCloud {
  readonly #rules: CloudRules
  readonly #time: () => number
  readonly #nextFate: () => CallFate
  readonly #history: { readonly at: number; readonly state: State }[]
  readonly #logs = new Map<string, { readonly visibleAt: number; readonly change: Change }[]>()
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
    return new Set([this.#contentAt(folderId, since), ...later.map(({ state }) => contentOf(state, folderId))])
  }

  /** Adds, moves or changes an item. Nothing happens if that is impossible. */
  put(id: string, parent: string, feedLag: number): void {
    const state = this.#current()
    const previous = state.get(id)
    const isFolder = previous?.isFolder ?? !id.startsWith('f')
    if (id === DRIVE || !isFolderOf(state, parent) || isInside(state, parent, id)) return
    const from = previous && scopeOf(state, id)
    this.#become(new Map(state).set(id, { parent, version: (previous?.version ?? 0) + 1, isFolder }))
    const to = scopeOf(this.#current(), id)
    if (from !== undefined && from !== to) {
      this.#report(from, { id, path: null, parentId: null, isFolder: null, isGone: true, concerns: 'item' }, feedLag)
    }
    this.#report(to, { id, path: null, parentId: parent, isFolder, isGone: false, concerns: 'item' }, feedLag)
  }

  /** @param isForever only the id is reported; otherwise the folder and the kind, too */
  remove(id: string, isForever: boolean, feedLag: number): void {
    const state = this.#current()
    const item = state.get(id)
    if (item === undefined) return
    const scope = id === DRIVE ? ROOT_SCOPE : scopeOf(state, id)
    const remaining = new Map([...state].filter(([other]) => other !== id && !isInside(state, other, id)))
    this.#become(remaining)
    const change = { id, path: null, isGone: true }
    if (id === DRIVE) this.#report(scope, { ...change, parentId: null, isFolder: null, concerns: 'roots' }, feedLag)
    else if (isForever) this.#report(scope, { ...change, parentId: null, isFolder: null, concerns: 'item' }, feedLag)
    else {
      const { parent, isFolder } = item
      this.#report(scope, { ...change, parentId: parent, isFolder, concerns: 'item' }, feedLag)
    }
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
    const { style, listLagMs, hasRootId } = this.#rules
    const at = this.#time() - lag * listLagMs
    const state = this.#stateAt(at)
    const own = ownId(folderId)
    if (!isFolderOf(state, own)) throw new StorageError('FOLDER_NOT_FOUND')
    const content = contentOf(state, folderId)
    const freshness: PageFreshness =
      style === 'marks'
        ? { mark: content }
        : { scope: own === ROOT ? ROOT_SCOPE : scopeOf(state, own), ...(style === 'marked' && { mark: content }) }
    const entries = childrenOf(state, own).map(([id, { version, isFolder }]) =>
      entry(id, {
        name: `${id}@${version}`,
        parentId: own,
        kind: id === DRIVE ? 'drive' : isFolder ? 'folder' : 'file'
      })
    )
    const id = own === ROOT && !hasRootId ? null : own
    return { folder: { id, name: null, parentId: null }, entries, next: null, complete: true, reason: null, freshness }
  }

  /** One page, with changes repeated and in reverse order, as the lag decides. */
  #read(scope: string, position: string, lag: number) {
    const [epoch, at] = position.split(':').map(Number) as [number, number]
    if (epoch !== this.#epoch) return 'lost' as const
    const visible = this.#visible(scope)
    const end = Math.min(visible.length, at + FEED_PAGE_SIZE)
    const repeated = Math.floor(lag * 3)
    const changes = visible.slice(Math.max(0, at - repeated), end).map(({ change }) => change)
    if (lag > 0.5) changes.reverse()
    const isAnonymous = this.#rules.style !== 'ids'
    return {
      position: `${epoch}:${end}`,
      changes: isAnonymous ? changes.map((change) => ({ ...change, id: null, parentId: null })) : changes,
      hasMore: end < visible.length
    }
  }

  #visible(scope: string) {
    const now = this.#time()
    return (this.#logs.get(scope) ?? [])
      .filter(({ visibleAt }) => visibleAt <= now)
      .sort((a, b) => a.visibleAt - b.visibleAt)
  }

  #report(scope: string, change: Change, feedLag: number): void {
    const visibleAt = this.#time() + Math.floor(feedLag * this.#rules.feedLagMs)
    const log = this.#logs.get(scope) ?? []
    log.push({ visibleAt, change })
    this.#logs.set(scope, log)
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
    return contentOf(this.#stateAt(time), folderId)
  }
}

export const MISSING = 'missing'

/** Returns a folder's content as a listing shows it, as a text. */
export function contentText(names: readonly string[]): string {
  return [...names].sort().join(' ')
}

function contentOf(state: State, folderId: string | null): string {
  const own = ownId(folderId)
  if (!isFolderOf(state, own)) return MISSING
  return contentText(childrenOf(state, own).map(([id, { version }]) => `${id}@${version}`))
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
