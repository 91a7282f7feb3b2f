import { createHash } from 'node:crypto'

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
