import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { TextSealer } from '../core/stores.ts'
import type { KeyRing } from './key-ring.ts'
import {
  aesGcmOpen,
  aesGcmSeal,
  encodeFields,
  formatSealedText,
  hashFields,
  hkdfSha256,
  IV_BYTES,
  parseSealedText,
  TAG_BYTES
} from './primitives.ts'

const ENCRYPTION_DOMAIN = 'fastify-cloud-storage text encryption v1'
const NONCE_DOMAIN = 'fastify-cloud-storage text nonce v1'
const AAD_DOMAIN = 'fastify-cloud-storage text v1'
const NO_SALT = Buffer.alloc(0)

interface DerivedKeys {
  readonly encryption: KeyObject
  readonly nonce: KeyObject
}

/**
 * Seals texts as `v1.<key id>.<base64url of nonce (12), ciphertext, tag (16)>`, safe in a URL.
 *
 * Sealing is deterministic, so the nonce cannot be random: it is synthetic, HMAC-SHA256 over binding and text (the
 * construction of RFC 5297, SIV, around AES-256-GCM). Two texts share a nonce with the probability of a collision of
 * two 96-bit hashes. Repeated requests for the same text are visible, as they are from an equal ETag.
 *
 * @param purpose separates uses: seals of different purposes have different keys and cannot be opened by each other
 */
export function createTextSealer(keyRing: KeyRing, purpose: string): TextSealer {
  const currentKeys = deriveKeys(keyRing.currentKey, purpose)
  const keysById = new Map<string, DerivedKeys>([[keyRing.current, currentKeys]])

  function findKeys(kid: string): DerivedKeys | null {
    const cached = keysById.get(kid)
    if (cached !== undefined) return cached
    const masterKey = keyRing.keys.get(kid)
    if (masterKey === undefined) return null
    const keys = deriveKeys(masterKey, purpose)
    keysById.set(kid, keys)
    return keys
  }

  return {
    seal(text: string, binding: readonly string[]): string {
      const kid = keyRing.current
      const aad = associatedData(kid, purpose, binding)
      // As JSON: plain UTF-8 does not preserve a lone surrogate.
      const plaintext = Buffer.from(JSON.stringify(text))
      const nonce = syntheticNonce(currentKeys.nonce, aad, plaintext)
      const { ciphertext, tag } = aesGcmSeal(currentKeys.encryption, nonce, aad, plaintext)
      return formatSealedText(kid, Buffer.concat([nonce, ciphertext, tag]))
    },

    open(sealed: string, binding: readonly string[]): string | null {
      const parsed = parseSealedText(sealed)
      if (parsed === null || parsed.payload.byteLength < IV_BYTES + TAG_BYTES) return null
      const { kid, payload } = parsed
      const keys = findKeys(kid)
      if (keys === null) return null
      const aad = associatedData(kid, purpose, binding)
      const nonce = payload.subarray(0, IV_BYTES)
      const ciphertext = payload.subarray(IV_BYTES, -TAG_BYTES)
      const tag = payload.subarray(-TAG_BYTES)
      const plaintext = aesGcmOpen(keys.encryption, nonce, aad, { ciphertext, tag })
      if (plaintext === null) return null
      // Authenticates the text with a second key, and guarantees that each text has only one seal.
      if (!timingSafeEqual(syntheticNonce(keys.nonce, aad, plaintext), nonce)) return null
      return JSON.parse(plaintext.toString('utf8')) as string
    }
  }
}

function deriveKeys(masterKey: KeyObject, purpose: string): DerivedKeys {
  return {
    encryption: deriveKey(masterKey, ENCRYPTION_DOMAIN, purpose),
    nonce: deriveKey(masterKey, NONCE_DOMAIN, purpose)
  }
}

function deriveKey(masterKey: KeyObject, domain: string, purpose: string): KeyObject {
  const bytes = hkdfSha256(masterKey, NO_SALT, hashFields([domain, purpose]))
  try {
    return createSecretKey(bytes)
  } finally {
    bytes.fill(0)
  }
}

function associatedData(kid: string, purpose: string, binding: readonly string[]): Buffer {
  return encodeFields([AAD_DOMAIN, kid, purpose, ...binding])
}

function syntheticNonce(key: KeyObject, aad: Buffer, plaintext: Buffer): Buffer {
  return createHmac('sha256', key)
    .update(encodeFields([aad, plaintext]))
    .digest()
    .subarray(0, IV_BYTES)
}
