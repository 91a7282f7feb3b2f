import { type KeyObject, randomBytes } from 'node:crypto'
import { Secret } from '../core/secret.ts'
import type { CredentialBinding, CredentialCipher } from '../core/stores.ts'
import type { Metrics } from '../core/telemetry.ts'
import { Diagnosis, isStorageError, StorageError } from '../errors.ts'
import { formatSealedText, type KeyRing, parseSealedText } from './key-ring.ts'
import { aesGcmOpen, aesGcmSeal, encodeFields, hashFields, hkdfSha256, IV_BYTES, TAG_BYTES } from './primitives.ts'

const SALT_BYTES = 32
const HEADER_BYTES = SALT_BYTES + IV_BYTES
const KEY_DOMAIN = 'fastify-cloud-storage credentials key v1'
const AAD_DOMAIN = 'fastify-cloud-storage credentials v1'

/** Longest envelope, in characters: far above any provider's tokens, and cheap to decode. */
export const MAX_ENVELOPE_LENGTH = 65_536

/**
 * Seals credentials for one row: `v1.<key id>.<base64url of salt (32), iv (12), ciphertext, tag (16)>`.
 *
 * Each envelope has its own key, HKDF-SHA256 of the master key with a fresh salt and the row's user and connection as
 * info. Version, key id, user, connection and provider are authenticated with AES-256-GCM, so an envelope cannot be
 * opened in another row. All keys of the ring open envelopes; the current one seals them.
 *
 * @param random returns the given number of unpredictable bytes
 */
export function createCredentialCipher(
  keyRing: KeyRing,
  random: (size: number) => Uint8Array = randomBytes
): CredentialCipher {
  return {
    seal(credentials: Secret<unknown>, binding: CredentialBinding): string {
      const plaintext = Buffer.from(serialise(credentials))
      const salt = random(SALT_BYTES)
      const iv = random(IV_BYTES)
      const key = deriveKey(keyRing.currentKey, salt, binding)
      try {
        const { ciphertext, tag } = aesGcmSeal(key, iv, associatedData(keyRing.current, binding), plaintext)
        const sealed = formatSealedText(keyRing.current, Buffer.concat([salt, iv, ciphertext, tag]))
        if (sealed.length > MAX_ENVELOPE_LENGTH) {
          throw new StorageError('INVALID_CREDENTIALS', 'The credentials are too long.')
        }
        return sealed
      } finally {
        key.fill(0)
        plaintext.fill(0)
      }
    },

    open(sealed: string, binding: CredentialBinding): Secret<unknown> {
      const { kid, payload } = parseEnvelope(sealed)
      const masterKey = keyRing.find(kid)
      if (masterKey === undefined) throw unreadableCredentials(`no key "${kid}" in the key ring`)
      const key = deriveKey(masterKey, payload.subarray(0, SALT_BYTES), binding)
      const iv = payload.subarray(SALT_BYTES, HEADER_BYTES)
      const tag = payload.subarray(-TAG_BYTES)
      const ciphertext = payload.subarray(HEADER_BYTES, -TAG_BYTES)
      const plaintext = aesGcmOpen(key, iv, associatedData(kid, binding), { ciphertext, tag })
      key.fill(0)
      if (plaintext === null) throw unreadableCredentials('modified, or encrypted for another row')
      try {
        return new Secret(parseJson(plaintext))
      } finally {
        plaintext.fill(0)
      }
    },

    isCurrent: (sealed) => parseSealedText(sealed)?.kid === keyRing.current
  }
}

function serialise(credentials: Secret<unknown>): string {
  const json = JSON.stringify(credentials.reveal()) as string | undefined
  if (json === undefined) throw new TypeError('Credentials must be a JSON value')
  return json
}

function deriveKey(masterKey: KeyObject, salt: Uint8Array, { userId, connectionId }: CredentialBinding): Buffer {
  return hkdfSha256(masterKey, salt, hashFields([KEY_DOMAIN, userId, connectionId]))
}

function associatedData(kid: string, { userId, connectionId, provider }: CredentialBinding): Buffer {
  return encodeFields([AAD_DOMAIN, kid, userId, connectionId, provider])
}

function parseEnvelope(sealed: string): { kid: string; payload: Buffer } {
  const parsed = sealed.length > MAX_ENVELOPE_LENGTH ? null : parseSealedText(sealed)
  if (parsed === null || parsed.payload.byteLength < HEADER_BYTES + TAG_BYTES)
    throw unreadableCredentials('not an envelope')
  return parsed
}

function parseJson(plaintext: Buffer): unknown {
  try {
    return JSON.parse(plaintext.toString('utf8'))
  } catch {
    // A SyntaxError quotes the text that it could not parse, and that text is a secret.
    throw unreadableCredentials('not JSON')
  }
}

/** Returns the same error for every cause. Only the log gets the reason, and never a byte of the sealed data. */
function unreadableCredentials(reason: string): StorageError {
  return new StorageError('CREDENTIALS_UNREADABLE', 'The stored credentials of this connection cannot be read.', {
    cause: new Diagnosis(`The credentials cannot be decrypted: ${reason}`)
  })
}

/** Counts unreadable credentials, so that a key that was removed too early is noticed at once. */
export function countUnreadable(
  cipher: CredentialCipher,
  metrics: Pick<Metrics, 'credentialsUnreadable'>
): CredentialCipher {
  return {
    ...cipher,
    open(sealed, binding) {
      try {
        return cipher.open(sealed, binding)
      } catch (error) {
        if (isStorageError(error, 'CREDENTIALS_UNREADABLE')) metrics.credentialsUnreadable(binding.provider)
        throw error
      }
    }
  }
}
