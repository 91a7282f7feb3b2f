import { KEY_ID } from './key-ring.ts'

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
