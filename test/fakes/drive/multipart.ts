import type { DriveCall } from './call.ts'
import { DriveMistake } from './failure.ts'
import { parseMetadata } from './metadata.ts'
import type { DriveMedia } from './writes.ts'

const MAX_BYTES = 5 * 1024 * 1024

/** Parses `multipart/related` with metadata and content, as the official client sends it. */
export function readMultipart({ request, method }: DriveCall) {
  const { headers, body = Buffer.alloc(0) } = request
  const [, boundary] = /^multipart\/related;\s*boundary="?([^";]+)"?$/i.exec(headers['content-type'] ?? '') ?? []
  if (boundary === undefined) throw new DriveMistake(`multipart of the content type ${headers['content-type']}`)
  if (body.length > MAX_BYTES) throw new DriveMistake('more than 5 MB in one piece')
  const [metadata, media, ...more] = partsOf(body, boundary)
  if (metadata === undefined || media === undefined || more.length > 0) throw new DriveMistake('not two parts')
  return { metadata: parseMetadata(metadata.mimeType ?? '', metadata.content, method), media }
}

function partsOf(body: Buffer, boundary: string): DriveMedia[] {
  const delimiter = `\r\n--${boundary}`
  // The first delimiter has no preceding line break.
  const text = Buffer.concat([Buffer.from('\r\n'), body])
  const parts: DriveMedia[] = []
  let start = text.indexOf(delimiter)
  for (;;) {
    const end = text.indexOf(delimiter, start + 1)
    if (start < 0 || end < 0) return parts
    const part = text.subarray(start + delimiter.length + 2, end)
    const head = part.indexOf('\r\n\r\n')
    const [, mimeType] = /^content-type:\s*(.*)$/im.exec(part.subarray(0, head).toString()) ?? []
    parts.push({ mimeType, content: part.subarray(head + 4) })
    start = end
  }
}
