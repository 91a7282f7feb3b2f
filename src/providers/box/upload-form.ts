import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HttpRequest } from '../../domain/egress.ts'

/** What a form is sent with. */
export interface Form {
  readonly headers: Readonly<Record<string, string>>
  readonly body: NonNullable<HttpRequest['body']>
}

/**
 * A file as `multipart/form-data` (RFC 7578). What is said of it comes first: Box decides by that alone, and refuses
 * the other order.
 *
 * @param content bytes, which can be sent again, or a stream of exactly `size` of them
 */
export function uploadForm(
  attributes: Readonly<Record<string, unknown>>,
  content: Buffer | AsyncIterable<Buffer>,
  size: number
): Form {
  const boundary = randomUUID()
  // The name stands in the attributes, where any can be written.
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
