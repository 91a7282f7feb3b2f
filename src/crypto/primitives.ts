import { createCipheriv, createDecipheriv, createHash, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'

export const KEY_BYTES = 32
export const IV_BYTES = 12
export const TAG_BYTES = 16
const SALT_BYTES = 32
const HEADER_BYTES = SALT_BYTES + IV_BYTES
/** The length of a salted seal of no bytes. */
export const MIN_SALTED_BYTES = HEADER_BYTES + TAG_BYTES

const ALGORITHM = 'aes-256-gcm'
const EMPTY = Buffer.alloc(0)
/** Without `authTagLength` Node accepts a tag of 4 bytes as well as one of 16. */
const GCM_OPTIONS = { authTagLength: TAG_BYTES }

export type CipherKey = KeyObject | Uint8Array

export interface Ciphertext {
  readonly ciphertext: Buffer
  /** 16 bytes. */
  readonly tag: Buffer
}

/**
 * Returns `size` bytes derived from `key` by HKDF with SHA-256 (RFC 5869). Node accepts at most 1024 bytes of `info`.
 *
 * @throws RangeError for more than 255 × 32 bytes
 */
export function hkdfSha256(key: CipherKey, salt: Uint8Array, info: Uint8Array, size: number = KEY_BYTES): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, info, size))
}

/**
 * Encrypts with AES-256-GCM (NIST SP 800-38D), with a 12-byte IV and a 16-byte tag only.
 *
 * @throws RangeError for a key or an IV of another size
 */
export function aesGcmSeal(key: CipherKey, iv: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Ciphertext {
  assertSizes(key, iv)
  const cipher = createCipheriv(ALGORITHM, key, iv, GCM_OPTIONS).setAAD(aad)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return { ciphertext, tag: cipher.getAuthTag() }
}

/**
 * Returns the plaintext, or `null` unless the tag authenticates it and `aad`. The caller must zero the result.
 *
 * @throws RangeError for a key, an IV or a tag of another size than {@link aesGcmSeal} makes
 */
export function aesGcmOpen(key: CipherKey, iv: Uint8Array, aad: Uint8Array, sealed: Ciphertext): Buffer | null {
  assertSizes(key, iv)
  assertSize('tag', sealed.tag.byteLength, TAG_BYTES)
  const decipher = createDecipheriv(ALGORITHM, key, iv, GCM_OPTIONS).setAAD(aad).setAuthTag(sealed.tag)
  const plaintextBytes = decipher.update(sealed.ciphertext)
  if (isTagValid(decipher)) return plaintextBytes
  plaintextBytes.fill(0)
  return null
}

/** In a counter mode `final()` returns no bytes: it only compares the tag. */
function isTagValid(decipher: { final(): Buffer }): boolean {
  try {
    return decipher.final().equals(EMPTY)
  } catch {
    return false
  }
}

function assertSizes(key: CipherKey, iv: Uint8Array): void {
  assertSize('key', 'byteLength' in key ? key.byteLength : key.symmetricKeySize, KEY_BYTES)
  assertSize('iv', iv.byteLength, IV_BYTES)
}

function assertSize(name: string, actual: number | undefined, expected: number): void {
  if (actual !== expected) throw new RangeError(`AES-256-GCM: the ${name} must have ${expected} bytes`)
}

/** What a salted seal is bound to. */
export interface SealContext {
  readonly masterKey: KeyObject
  /** Part of the derivation of the key. */
  readonly keyFields: readonly string[]
  /** Authenticated, but not part of the seal. */
  readonly aadFields: readonly string[]
}

/**
 * Seals bytes as salt (32), iv (12), ciphertext, tag (16). Each seal has its own key, HKDF-SHA256 of the master key
 * with a fresh salt, so that the number of seals does not wear out a key.
 *
 * @param random returns the given number of unpredictable bytes
 */
export function sealSalted(
  plaintext: Uint8Array,
  { masterKey, keyFields, aadFields }: SealContext,
  random: (size: number) => Uint8Array = randomBytes
): Buffer {
  const salt = random(SALT_BYTES)
  const iv = random(IV_BYTES)
  const key = hkdfSha256(masterKey, salt, hashFields(keyFields))
  try {
    const { ciphertext, tag } = aesGcmSeal(key, iv, encodeFields(aadFields), plaintext)
    return Buffer.concat([salt, iv, ciphertext, tag])
  } finally {
    key.fill(0)
  }
}

/** Returns what {@link sealSalted} has sealed in this context, or `null` for any other bytes. */
export function openSalted(sealed: Buffer, { masterKey, keyFields, aadFields }: SealContext): Buffer | null {
  if (sealed.byteLength < MIN_SALTED_BYTES) return null
  const key = hkdfSha256(masterKey, sealed.subarray(0, SALT_BYTES), hashFields(keyFields))
  try {
    return aesGcmOpen(key, sealed.subarray(SALT_BYTES, HEADER_BYTES), encodeFields(aadFields), {
      ciphertext: sealed.subarray(HEADER_BYTES, -TAG_BYTES),
      tag: sealed.subarray(-TAG_BYTES)
    })
  } finally {
    key.fill(0)
  }
}

/**
 * Encodes a list of fields injectively: each is prefixed with its length (32 bits, big-endian), so `['ab', 'c']`
 * differs from `['a', 'bc']`. Strings are encoded as UTF-16, since UTF-8 turns every lone surrogate into the same
 * U+FFFD.
 */
export function encodeFields(fields: readonly (string | Uint8Array)[]): Buffer {
  const parts = fields.flatMap((field) => {
    const bytes = typeof field === 'string' ? Buffer.from(field, 'utf16le') : field
    return [uint32(bytes.byteLength), bytes]
  })
  return Buffer.concat(parts)
}

/** Returns the SHA-256 of {@link encodeFields}: 32 bytes, for uses with a size limit (HKDF's `info`). */
export function hashFields(fields: readonly string[]): Buffer {
  return createHash('sha256').update(encodeFields(fields)).digest()
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** The form of a key id. Key ids are part of every sealed value, in plain text. */
export const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/

const VERSION = 'v1'

/** The parts of a sealed text. They are not authenticated yet. */
export interface SealedText {
  readonly kid: string
  readonly payload: Buffer
}

/** Formats `v1.<key id>.<base64url>`. The key id is in plain text, so that SQL can count rows under an old key. */
export function formatSealedText(kid: string, payload: Uint8Array): string {
  return sealedPrefix(kid) + Buffer.from(payload).toString('base64url')
}

/** Returns the prefix of all texts that this key has sealed. */
export function sealedPrefix(kid: string): string {
  return `${VERSION}.${kid}.`
}

/**
 * Returns the parts of a sealed text, or `null` for a text that {@link formatSealedText} cannot have written. Each
 * payload has only one valid encoding, so that changing a character always changes the bytes.
 */
export function parseSealedText(text: string): SealedText | null {
  const [version, kid, encoded, ...rest] = text.split('.', 4)
  if (version !== VERSION || kid === undefined || encoded === undefined || rest.length > 0) return null
  if (!KEY_ID.test(kid)) return null
  const payload = Buffer.from(encoded, 'base64url')
  return payload.toString('base64url') === encoded ? { kid, payload } : null
}
