import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HttpRequest } from '../../domain/egress.ts'

/** A form that is ready to be sent. */
export interface Form {
  readonly headers: Readonly<Record<string, string>>
  readonly body: NonNullable<HttpRequest['body']>
}

/**
 * Encodes a file as `multipart/form-data` (RFC 7578). The attributes come first: Box validates the upload by them
 * alone, and refuses the other order.
 *
 * @param content bytes, which can be sent again, or a stream of exactly `size` bytes
 */
export function uploadForm(
  attributes: Readonly<Record<string, unknown>>,
  content: Buffer | AsyncIterable<Buffer>,
  size: number
): Form {
  const boundary = randomUUID()
  // The attributes contain the name, because JSON can represent any name.
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="attributes"\r\n\r\n${JSON.stringify(attributes)}\r\n` +
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n` +
      'Content-Type: application/octet-stream\r\n\r\n'
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  return {
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(head.length + size + tail.length)
    },
    body: Buffer.isBuffer(content)
      ? Buffer.concat([head, content, tail])
      : Readable.from(around(head, content, tail), { objectMode: false })
  }
}

async function* around(head: Buffer, content: AsyncIterable<Buffer>, tail: Buffer): AsyncGenerator<Buffer> {
  yield head
  yield* content
  yield tail
}
