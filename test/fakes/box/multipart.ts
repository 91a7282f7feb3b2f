import { BoxMistake } from './failure.ts'
import type { FakeDavRequest } from '../dav/request.ts'

interface Part {
  readonly name: string
  readonly hasFileName: boolean
  readonly content: Buffer
}

const BREAK = Buffer.from('\r\n')

/** Parses `multipart/form-data` with attributes and a file, in the required order. */
export function readMultipart({ headers, body = Buffer.alloc(0) }: FakeDavRequest): {
  readonly attributes: string | undefined
  readonly content: Buffer
} {
  const type = headers['content-type'] ?? ''
  const [, boundary] = /^multipart\/form-data;\s*boundary="?([^";]+)"?$/i.exec(type) ?? []
  if (boundary === undefined) throw new BoxMistake(`an upload of the content type ${type}`)
  const parts = partsOf(body, boundary)
  const names = parts.map(({ name }) => name).join()
  if (names === 'file,attributes') throw new BoxMistake('attributes after the file', AFTER_CONTENT)
  const [file] = parts.slice(-1)
  if ((names !== 'attributes,file' && names !== 'file') || file === undefined) throw new BoxMistake(`parts: ${names}`)
  if (!file.hasFileName) throw new BoxMistake('a file without a filename')
  const [attributes] = parts.slice(0, -1)
  return { attributes: attributes?.content.toString(), content: file.content }
}

const AFTER_CONTENT = { code: 'metadata_after_file_contents' }

function partsOf(body: Buffer, boundary: string): Part[] {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  // The first delimiter has no preceding line break.
  const text = Buffer.concat([BREAK, body])
  const parts: Part[] = []
  let end = text.indexOf(delimiter)
  if (end !== 0) throw new BoxMistake('a body that does not begin with its boundary')
  for (;;) {
    const start = end + delimiter.length
    const tail = text.subarray(start, start + 2).toString()
    if (tail === '--') return parts
    end = text.indexOf(delimiter, start)
    if (tail !== '\r\n' || end < 0) throw new BoxMistake('a body that ends without its boundary')
    parts.push(partOf(text.subarray(start + 2, end)))
  }
}

function partOf(bytes: Buffer): Part {
  const head = bytes.indexOf('\r\n\r\n')
  const lines = bytes.subarray(0, head).toString()
  const [, name] = /^content-disposition:\s*form-data;\s*name="([^"]*)"/im.exec(lines) ?? []
  if (name === undefined) throw new BoxMistake('a part without a name')
  return { name, hasFileName: /;\s*filename=/i.test(lines), content: bytes.subarray(head + 4) }
}
