import { crc32, deflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const TRUE_COLOUR = 2

/** Returns a picture of one colour that fades into another (PNG, 8 bits per channel). */
export function fadingPng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, TRUE_COLOUR], 8)
  // Each line begins with its filter type: 0 is none.
  const lines = Buffer.alloc(height * (1 + 3 * width))
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const position = y * (1 + 3 * width) + 1 + 3 * x
      lines.set([Math.floor((255 * x) / width), Math.floor((255 * y) / height), 160], position)
    }
  }
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('IDAT', deflateSync(lines)), chunk('IEND')])
}

function chunk(type: string, data: Buffer = Buffer.alloc(0)): Buffer {
  const typeAndData = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const bytes = Buffer.alloc(typeAndData.length + 8)
  bytes.writeUInt32BE(data.length, 0)
  bytes.set(typeAndData, 4)
  bytes.writeUInt32BE(crc32(typeAndData), typeAndData.length + 4)
  return bytes
}
