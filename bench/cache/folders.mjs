// Folders to keep, and caches that keep them.
import { randomUUID } from 'node:crypto'
import { createFolderCache } from '../../dist/index.js'

/** As long as no run of a suite is: else what is kept would expire under way. */
const TTL_MS = 24 * 60 * 60 * 1000

/** A page as the plugin keeps it: its bytes are out of reach of the cache, which freezes what it keeps. */
export class Page {
  #bytes

  constructor(bytes) {
    this.#bytes = bytes
  }

  get bytes() {
    return this.#bytes
  }
}

/** `users` users, each of whom has `providers` providers with `folders` folders, of one connection each. */
export function makeKeys({ users, providers = 1, folders = 20 }) {
  return Array.from({ length: users }, () => {
    const userId = randomUUID()
    return Array.from({ length: providers }, (_, number) => {
      const connectionId = randomUUID()
      const provider = number === 0 ? 'google_drive' : `provider_${number}`
      return Array.from({ length: folders }, () => ({
        userId,
        provider,
        folderId: randomId(),
        connectionId,
        variant: '200:name:asc:'
      }))
    })
  }).flat(2)
}

/** As long as those of Google Drive. */
function randomId() {
  return randomUUID().replaceAll('-', '')
}

/** The same parts in strings that nobody has looked up before, as a request brings them. The provider is a constant. */
export function anew({ userId, provider, folderId, connectionId, variant }) {
  return {
    userId: fresh(userId),
    provider,
    folderId: fresh(folderId),
    connectionId: fresh(connectionId),
    variant: fresh(variant)
  }
}

export function fresh(text) {
  return Buffer.from(text).toString('latin1')
}

/** One string for a key, of one piece. */
export function asText({ userId, provider, folderId, connectionId, variant }) {
  return fresh(`${userId}/${provider}/${folderId}/${connectionId}/${variant}`)
}

export function makeCache(options) {
  return createFolderCache({ ttlMs: TTL_MS, maxBytes: Number.MAX_SAFE_INTEGER, sizeOf: () => 1, ...options })
}

export async function fill(cache, keys, fetch = async () => new Page(null)) {
  for (const key of keys) await cache.getOrFetch(key, fetch)
}

/** For what must be a hit. */
export function miss() {
  throw new Error('it is not kept')
}

/** So many numbers from 0 to below `below`. */
export function randomOrder(below, length) {
  return Uint32Array.from({ length }, () => Math.floor(Math.random() * below))
}
