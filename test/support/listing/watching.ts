import { FolderWatches, type FolderWatchesOptions } from '../../../src/events/folder-watches.ts'
import type { FeedPage, PageFreshness } from '../../../src/core/change-feed.ts'
import type { SharedTier } from '../../../src/cache/shared-tier.ts'
import { entry, page } from '../backend/scripted-backend.ts'
import { VirtualTime } from '../time/virtual-time.ts'
import { createTestListing } from './listing.ts'

export interface WatchingOptions extends Partial<Pick<FolderWatchesOptions, 'maxStreams'>> {
  /** `null`: the pages are not covered. */
  readonly freshness?: PageFreshness | null
  readonly shared?: SharedTier
  readonly leaseMs?: number
  readonly rules?: { readonly checkFolderId: (folderId: string) => void }
}

/** Watched folders with virtual time, over a listing of a scripted provider. */
export function createWatching(options: WatchingOptions = {}) {
  const { freshness = { scope: '' }, shared = null, leaseMs = 2_000, rules = {} } = options
  const time = new VirtualTime()
  const { clock } = time
  const listing = createTestListing({
    clock,
    leaseMs,
    shared,
    freshness: {},
    onInvalidated: (scope) => {
      watches.onInvalidated(scope)
    }
  })
  const { leases, cache, backend, connections } = listing
  const connection = connections.add()
  const sent: string[] = []
  const watches: FolderWatches = new FolderWatches({
    leases,
    leaseMs,
    cache,
    freshness: listing.freshness,
    shared,
    clock,
    timers: time,
    random: () => 0.5,
    metrics: { eventSent: (provider) => sent.push(provider) },
    providers: { load: () => Promise.resolve(rules) },
    ...(options.maxStreams !== undefined && { maxStreams: options.maxStreams })
  })
  const calls = { loads: 0, checks: 0 }
  /** What the provider has and answers. */
  const cloud = {
    content: 'one',
    freshness,
    changes: async (): Promise<FeedPage> => ({ position: 'p', changes: [], hasMore: false }),
    isCurrent: async (mark: string) => mark !== ''
  }
  backend.list = async () => {
    calls.loads += 1
    return { ...page([entry(cloud.content)]), freshness: cloud.freshness }
  }
  backend.position = async () => 'p'
  backend.changes = async () => {
    calls.checks += 1
    return await cloud.changes()
  }
  backend.isCurrent = async (_folderId, mark) => {
    return await cloud.isCurrent(mark)
  }
  /** Watches folders. */
  const watch = async (...folders: string[]) => {
    const client = { events: [] as string[], isEnded: false, stop: () => {} }
    const target = await watches.select({ userId: 'ann', connectionId: connection.id, folders })
    client.stop = watches.begin(target, {
      onChanged: (folder) => client.events.push(folder),
      onEnded: () => {
        client.isEnded = true
      }
    })
    return client
  }
  return { ...listing, time, connection, watches, watch, cloud, calls, sent }
}

/** The feed reports a file in a folder, once. */
export function changeOnce(parentId: string): () => Promise<FeedPage> {
  let isReported = false
  return async () => {
    const changes = isReported
      ? []
      : [{ id: 'new', path: null, parentId, isFolder: false, isGone: false, concerns: 'item' as const }]
    isReported = true
    return { position: 'q', changes, hasMore: false }
  }
}
