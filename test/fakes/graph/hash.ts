const BITS = 160
const STEP = 11

/**
 * Computes Microsoft's QuickXorHash in base64 (its page "Code Snippets: QuickXorHash Algorithm"): each byte is XORed
 * into a ring of 160 bits, 11 bits after the previous byte, and the length into the last 64 bits.
 */
export function quickXorHash(content: Uint8Array): string {
  // The ring repeats after 160 bytes, so bytes of one column can be combined: four columns at a time.
  const padded = new Uint8Array(Math.ceil(content.length / BITS) * BITS)
  padded.set(content)
  const words = new Uint32Array(padded.buffer)
  const columnSums = new Uint32Array(BITS / 4)
  for (let row = 0; row < words.length; row += columnSums.length) {
    for (let column = 0; column < columnSums.length; column++) columnSums[column]! ^= words[row + column]!
  }
  const columns = new Uint8Array(columnSums.buffer)
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
