// Keys of folders, and caches that are filled with them.
import { randomUUID } from 'node:crypto'
import { createFolderCache } from '../../dist/index.js'

/** Longer than any run of a suite, so that no entry expires meanwhile. */
const TTL_MS = 24 * 60 * 60 * 1000

/** A page as in the plugin: the bytes are private, since the cache freezes its values. */
export class Page {
  #bytes

  constructor(bytes) {
    this.#bytes = bytes
  }

  get bytes() {
    return this.#bytes
  }
}

/** Returns the keys of `users` users, each with `providers` connections of `folders` folders at one provider each. */
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

/** Returns an id as long as Google Drive's. */
function randomId() {
  return randomUUID().replaceAll('-', '')
}

/** Returns the key in strings that no look-up has used before, as in a request. The provider is a constant. */
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

/** Returns a key as one flat string. */
export function asText({ userId, provider, folderId, connectionId, variant }) {
  return fresh(`${userId}/${provider}/${folderId}/${connectionId}/${variant}`)
}

export function makeCache(options) {
  return createFolderCache({ ttlMs: TTL_MS, maxBytes: Number.MAX_SAFE_INTEGER, sizeOf: () => 1, ...options })
}

export async function fill(cache, keys, fetch = async () => new Page(null)) {
  for (const key of keys) await cache.getOrFetch(key, fetch)
}

/** The loader for requests that must be hits. */
export function miss() {
  throw new Error('the folder is not cached')
}

/** Returns `length` numbers from 0 to below `below`. */
export function randomOrder(below, length) {
  return Uint32Array.from({ length }, () => Math.floor(Math.random() * below))
}
