import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import type { KeyRing } from './key-ring.ts'
import { encodeFields, hashFields, hkdfSha256, KEY_ID, openSalted, type SealContext, sealSalted } from './primitives.ts'

const TIME_BYTES = 8
/** Version 1 had no time. */
const VERSION = 2
const KEY_DOMAIN = 'fastify-cloud-storage bytes key v1'
const NAME_DOMAIN = 'fastify-cloud-storage names v1'
const AAD_DOMAIN = 'fastify-cloud-storage bytes v2'
const NO_SALT = Buffer.alloc(0)

export interface OpenedBytes {
  readonly bytes: Buffer
  /** The time given when the bytes were sealed: wall-clock milliseconds. */
  readonly time: number
}

/** Seals bytes that are stored outside of this process, and hides their names. */
export interface BytesSealer {
  /**
   * @param name the bytes can be opened only under the same name
   * @param time wall-clock milliseconds, in plain text but authenticated: the bytes cannot be opened with another
   * time
   */
  seal(bytes: Uint8Array, name: string, time: number): Buffer
  /** Returns `null` for anything that was not sealed by one of our keys under exactly this name. */
  open(sealed: Buffer, name: string): OpenedBytes | null
  /** Returns 43 characters of base64url that only a holder of the current key can derive from these parts. */
  deriveName(...parts: readonly string[]): string
}

/**
 * Seals bytes as version (1 byte), length of the key id (1), key id, time (8), salt (32), iv (12), ciphertext, tag
 * (16). Key id, name and time are authenticated with the bytes. Each seal has its own key, HKDF-SHA256 of the master
 * key with a fresh salt, so that the number of pages does not wear out a key.
 *
 * @param purpose separates uses: seals of different purposes have different keys and cannot be opened by each other
 */
export function createBytesSealer(keyRing: KeyRing, purpose: string): BytesSealer {
  const nameKey = createSecretKey(hkdfSha256(keyRing.currentKey, NO_SALT, hashFields([NAME_DOMAIN, purpose])))
  const contextOf = (masterKey: KeyObject, kid: string, name: string, time: number): SealContext => ({
    masterKey,
    keyFields: [KEY_DOMAIN, purpose],
    aadFields: [AAD_DOMAIN, kid, purpose, name, String(time)]
  })

  return {
    seal(bytes, name, time): Buffer {
      const kid = keyRing.current
      const header = [Buffer.from([VERSION, kid.length]), Buffer.from(kid, 'latin1'), encodeTime(time)]
      return Buffer.concat([...header, sealSalted(bytes, contextOf(keyRing.currentKey, kid, name, time))])
    },

    open(sealed, name): OpenedBytes | null {
      const [version, kidLength = 0] = sealed
      const kidEnd = 2 + kidLength
      const headerEnd = kidEnd + TIME_BYTES
      if (version !== VERSION || sealed.byteLength < headerEnd) return null
      const kid = sealed.toString('latin1', 2, kidEnd)
      const masterKey = KEY_ID.test(kid) ? keyRing.keys.get(kid) : undefined
      if (masterKey === undefined) return null
      const time = sealed.readDoubleBE(kidEnd)
      const bytes = openSalted(sealed.subarray(headerEnd), contextOf(masterKey, kid, name, time))
      return bytes === null ? null : { bytes, time }
    },

    deriveName: (...parts): string => createHmac('sha256', nameKey).update(encodeFields(parts)).digest('base64url')
  }
}

function encodeTime(time: number): Buffer {
  const encoded = Buffer.alloc(TIME_BYTES)
  encoded.writeDoubleBE(time)
  return encoded
}
