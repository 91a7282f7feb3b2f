import { createHash } from 'node:crypto'

/**
 * One sequence of bytes per list of fields: each behind its length (32 bits, big-endian). No two lists meet, so
 * `['ab', 'c']` is not `['a', 'bc']`. Strings go in as UTF-16, since UTF-8 turns every lone surrogate into the same
 * U+FFFD.
 */
export function encodeFields(fields: readonly (string | Uint8Array)[]): Buffer {
  const parts = fields.flatMap((field) => {
    const bytes = typeof field === 'string' ? Buffer.from(field, 'utf16le') : field
    return [uint32(bytes.byteLength), bytes]
  })
  return Buffer.concat(parts)
}

/** SHA-256 of {@link encodeFields}: 32 bytes, where long fields would not fit (HKDF's `info`). */
export function hashFields(fields: readonly string[]): Buffer {
  return createHash('sha256').update(encodeFields(fields)).digest()
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
