import type { KeyObject } from 'node:crypto'
import { Secret } from '../core/secret.ts'
import type { CredentialBinding, CredentialCipher } from '../core/stores.ts'
import type { Metrics } from '../core/telemetry.ts'
import { Diagnosis, isStorageError, StorageError } from '../errors.ts'
import type { KeyRing } from './key-ring.ts'
import {
  formatSealedText,
  MIN_SALTED_BYTES,
  openSalted,
  parseSealedText,
  type SealContext,
  sealedPrefix,
  sealSalted
} from './primitives.ts'

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
export function createCredentialCipher(keyRing: KeyRing, random?: (size: number) => Uint8Array): CredentialCipher {
  const currentPrefix = sealedPrefix(keyRing.current)
  return {
    seal(credentials: Secret<unknown>, binding: CredentialBinding): string {
      const plaintext = Buffer.from(serialise(credentials))
      try {
        const context = contextOf(keyRing.currentKey, keyRing.current, binding)
        const sealed = formatSealedText(keyRing.current, sealSalted(plaintext, context, random))
        if (sealed.length > MAX_ENVELOPE_LENGTH) {
          throw new StorageError('INVALID_CREDENTIALS', 'The credentials are too long.')
        }
        return sealed
      } finally {
        plaintext.fill(0)
      }
    },

    open(sealed: string, binding: CredentialBinding): Secret<unknown> {
      const parsed = sealed.length > MAX_ENVELOPE_LENGTH ? null : parseSealedText(sealed)
      if (parsed === null || parsed.payload.byteLength < MIN_SALTED_BYTES) {
        throw unreadableCredentials('not an envelope')
      }
      const { kid, payload } = parsed
      const masterKey = keyRing.keys.get(kid)
      if (masterKey === undefined) throw unreadableCredentials(`no key "${kid}" in the key ring`)
      const plaintext = openSalted(payload, contextOf(masterKey, kid, binding))
      if (plaintext === null) throw unreadableCredentials('modified, or encrypted for another row')
      try {
        return new Secret(parseJson(plaintext))
      } finally {
        plaintext.fill(0)
      }
    },

    isCurrent: (sealed) => sealed.startsWith(currentPrefix)
  }
}

function serialise(credentials: Secret<unknown>): string {
  const json = JSON.stringify(credentials.reveal()) as string | undefined
  if (json === undefined) throw new TypeError('Credentials must be a JSON value')
  return json
}

function contextOf(masterKey: KeyObject, kid: string, { userId, id, provider }: CredentialBinding): SealContext {
  return { masterKey, keyFields: [KEY_DOMAIN, userId, id], aadFields: [AAD_DOMAIN, kid, userId, id, provider] }
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
