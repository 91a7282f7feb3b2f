const BITS = 160
const STEP = 11

/**
 * Microsoft's QuickXorHash in base64 (its page "Code Snippets: QuickXorHash Algorithm"): each byte is XORed into a ring
 * of 160 bits, 11 bits after the byte before, and the length into the last 64 bits.
 */
export function quickXorHash(content: Uint8Array): string {
  // The ring begins anew after 160 bytes, so that those of one column can be taken together.
  const columns = new Uint8Array(BITS)
  for (let at = 0, column = 0; at < content.length; at++) {
    columns[column]! ^= content[at]!
    column = column === BITS - 1 ? 0 : column + 1
  }
  const ring = Buffer.alloc(BITS / 8)
  columns.forEach((value, column) => {
    const bit = (column * STEP) % BITS
    const byte = bit >> 3
    const shifted = value << (bit & 7)
    ring[byte]! ^= shifted & 0xff
    ring[(byte + 1) % ring.length]! ^= shifted >> 8
  })
  ring.writeBigUInt64LE(ring.readBigUInt64LE(12) ^ BigInt(content.length), 12)
  return ring.toString('base64')
}
