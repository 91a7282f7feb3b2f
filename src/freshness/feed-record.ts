import { randomBytes } from 'node:crypto'
import { joinKey } from '../cache/types.ts'
import type { Change } from '../core/change-feed.ts'
import type { Connection } from '../core/connection.ts'

/** Bounds what a record contains: an instance that has missed more drops its pages. */
const MAX_RECENT_CHANGES = 1_000
const MAX_RECENT_BYTES = 64 * 1024
const VERSION = 1

/** The changes of one read. */
export interface FeedLink {
  /** Random, so that a link that was overwritten is never taken for another one. */
  readonly id: string
  readonly changes: readonly Change[]
}

/**
 * What the instances know of one feed. Its links form a chain; an instance remembers the last one that it has applied.
 * The position is that after the last link.
 */
export interface FeedRecord {
  readonly position: string
  /** The latest links, oldest first, at least one. The changes of the first are not needed: others follow from it. */
  readonly links: readonly [FeedLink, ...FeedLink[]]
}

/** Returns the key of a feed's record. Another version of the connection has other records. */
export function recordKey({ id, version, connectedAt }: Connection, scope: string): string {
  return joinKey('feed', id, String(version), String(connectedAt.getTime()), scope)
}

/** A mark of a folder, by which a page is confirmed. */
export interface MarkedFolder {
  readonly connection: Connection
  readonly folderId: string | null
  readonly mark: string
}

/** Returns the key of the record of a mark's latest check. */
export function markKey({ connection: { id, version, connectedAt }, folderId, mark }: MarkedFolder): string {
  return joinKey('mark', id, String(version), String(connectedAt.getTime()), folderId, mark)
}

/** Begins a chain. An instance that remembers a link of another chain does not find it here. */
export function createRecord(position: string): FeedRecord {
  return { position, links: [{ id: createLinkId(), changes: [] }] }
}

export function headOf({ links }: FeedRecord): string {
  return (links.at(-1) ?? links[0]).id
}

/** Returns the record after a read of the feed from its position. */
export function extendRecord(record: FeedRecord, position: string, changes: readonly Change[]): FeedRecord {
  if (changes.length === 0) return { position, links: record.links }
  const last = { id: createLinkId(), changes }
  const links: [FeedLink, ...FeedLink[]] = [...record.links, last]
  while (links.length > 1 && isTooLarge(links)) links.shift()
  return { position, links }
}

/** Returns the changes after a link; `null` if the chain does not contain it. */
export function changesAfter({ links }: FeedRecord, link: string | null): Change[] | null {
  const at = links.findIndex(({ id }) => id === link)
  return at === -1 ? null : links.slice(at + 1).flatMap(({ changes }) => changes)
}

export function encodeRecord({ position, links: [first, ...later] }: FeedRecord): Buffer {
  return Buffer.from(JSON.stringify({ v: VERSION, position, links: [{ id: first.id, changes: [] }, ...later] }))
}

/** Returns `null` for a record of another version. It is sealed: what it contains was written by an instance. */
export function decodeRecord(bytes: Buffer): FeedRecord | null {
  const { v, ...record } = JSON.parse(bytes.toString()) as FeedRecord & { readonly v: number }
  return v === VERSION ? record : null
}

function isTooLarge([, ...later]: readonly FeedLink[]): boolean {
  const count = later.reduce((sum, { changes }) => sum + changes.length, 0)
  return count > MAX_RECENT_CHANGES || Buffer.byteLength(JSON.stringify(later)) > MAX_RECENT_BYTES
}

function createLinkId(): string {
  return randomBytes(9).toString('base64url')
}
