import { crc32 } from 'node:zlib'

/** 1 January 1980, the first day of the format. */
const FIRST_DAY = 0x21
const UTF8_NAMES = 0x0800
const VERSION = 20

/** Returns a zip archive of uncompressed files (PKWARE's APPNOTE, 4.3). */
export function storedZip(files: Readonly<Record<string, string>>): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [path, text] of Object.entries(files)) {
    const name = Buffer.from(path)
    const content = Buffer.from(text)
    const headerFields = encodeHeaderFields(name, content)
    const local = Buffer.concat([signature(0x04034b50), headerFields, name, content])
    directory.push(centralEntry(headerFields, name, offset))
    parts.push(local)
    offset += local.length
  }
  const central = Buffer.concat(directory)
  const end = Buffer.alloc(18)
  end.writeUInt16LE(parts.length, 4)
  end.writeUInt16LE(parts.length, 6)
  end.writeUInt32LE(central.length, 8)
  end.writeUInt32LE(offset, 12)
  return Buffer.concat([...parts, central, signature(0x06054b50), end])
}

/** Returns the fields that both headers of a file share: from the required version to the length of the extras. */
function encodeHeaderFields(name: Buffer, content: Buffer): Buffer {
  const headerFields = Buffer.alloc(26)
  headerFields.writeUInt16LE(VERSION, 0)
  headerFields.writeUInt16LE(UTF8_NAMES, 2)
  headerFields.writeUInt16LE(FIRST_DAY, 8)
  headerFields.writeUInt32LE(crc32(content), 10)
  headerFields.writeUInt32LE(content.length, 14)
  headerFields.writeUInt32LE(content.length, 18)
  headerFields.writeUInt16LE(name.length, 22)
  return headerFields
}

function centralEntry(headerFields: Buffer, name: Buffer, offset: number): Buffer {
  const versionMadeBy = Buffer.alloc(2)
  versionMadeBy.writeUInt16LE(VERSION)
  // No comment, disk or attributes. The last field is the offset of the file's own header.
  const rest = Buffer.alloc(14)
  rest.writeUInt32LE(offset, 10)
  return Buffer.concat([signature(0x02014b50), versionMadeBy, headerFields, rest, name])
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
