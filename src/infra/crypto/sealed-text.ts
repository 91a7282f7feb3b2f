import { KEY_ID } from './key-ring.ts'

const VERSION = 'v1'

/** What a sealed text says about itself before any key has been tried. Nothing of it is proven yet. */
export interface SealedText {
  readonly kid: string
  readonly payload: Buffer
}

/** `v1.<key id>.<base64url>`: the key id stands in the open, so that rows under an old key can be counted in SQL. */
export function formatSealedText(kid: string, payload: Uint8Array): string {
  return sealedPrefix(kid) + Buffer.from(payload).toString('base64url')
}

/** What every text begins with that this key has sealed. */
export function sealedPrefix(kid: string): string {
  return `${VERSION}.${kid}.`
}

/**
 * The parts of a sealed text, or `null` for anything that {@link formatSealedText} does not write: a payload has one
 * spelling, so that nobody can change a character and keep the bytes.
 */
export function parseSealedText(text: string): SealedText | null {
  const [version, kid, encoded, ...rest] = text.split('.', 4)
  if (version !== VERSION || kid === undefined || encoded === undefined || rest.length > 0) return null
  if (!KEY_ID.test(kid)) return null
  const payload = Buffer.from(encoded, 'base64url')
  return payload.toString('base64url') === encoded ? { kid, payload } : null
}
