import { createSecretKey, type KeyObject } from 'node:crypto'
import { KEY_ID } from './primitives.ts'

/** The plugin's `encryption` option. */
export interface KeyRingOptions {
  /** The id of the key that seals new values. */
  readonly current: string
  /** All keys that may be needed to open values, by id: 32 random bytes each, in base64 or base64url. */
  readonly keys: Readonly<Record<string, string>>
}

/** The validated master keys. The bytes are inside KeyObjects, which are neither printed nor serialised. */
export interface KeyRing {
  readonly current: string
  readonly currentKey: KeyObject
  /** All keys, by id. */
  readonly keys: ReadonlyMap<string, KeyObject>
}

/** 32 bytes in either alphabet, but not mixed; padding is optional. */
const BASE64 = /^(?:[A-Za-z0-9+/]{43}|[A-Za-z0-9_-]{43})=?$/

/**
 * Parses the keys once. Messages never contain a value, or an id that could be a misplaced value.
 *
 * @throws Error that names `encryption.current` or the invalid entry of `encryption.keys`
 */
export function createKeyRing(options: KeyRingOptions): KeyRing {
  const keys = parseKeys(options.keys)
  const current: unknown = options.current
  if (typeof current !== 'string') throw new Error('encryption.current must be the id of one of encryption.keys')
  const currentKey = keys.get(current)
  if (currentKey === undefined) throw new Error('encryption.current is not the id of any key in encryption.keys')
  return Object.freeze({ current, currentKey, keys })
}

function parseKeys(keys: unknown): ReadonlyMap<string, KeyObject> {
  if (typeof keys !== 'object' || keys === null) throw new Error('encryption.keys must be an object of keys by id')
  const parsed = new Map<string, KeyObject>()
  for (const [kid, text] of Object.entries(keys)) {
    if (!KEY_ID.test(kid)) throw new Error('encryption.keys: a key id is 1 to 32 letters, digits, "_" or "-"')
    const key = parseKey(`encryption.keys.${kid}`, text)
    for (const [other, otherKey] of parsed) {
      if (key.equals(otherKey)) throw new Error(`encryption.keys.${kid} is the same key as encryption.keys.${other}`)
    }
    parsed.set(kid, key)
  }
  return parsed
}

function parseKey(name: string, text: unknown): KeyObject {
  if (typeof text !== 'string' || !BASE64.test(text)) throw new Error(`${name} must be 32 bytes in base64`)
  const bytes = Buffer.from(text, 'base64')
  try {
    if (!isCanonical(text, bytes)) throw new Error(`${name} must be 32 bytes in base64`)
    if (bytes.every((byte) => byte === 0)) throw new Error(`${name} is all zeros`)
    return createSecretKey(bytes)
  } finally {
    bytes.fill(0)
  }
}

/** 43 characters hold 258 bits. The last two must be zero; otherwise the text was truncated or mistyped. */
function isCanonical(text: string, bytes: Buffer): boolean {
  return bytes.toString('base64url') === text.replace('=', '').replaceAll('+', '-').replaceAll('/', '_')
}
