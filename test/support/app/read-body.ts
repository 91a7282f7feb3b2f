import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'

/** Rejects if the body is interrupted. */
export async function readBody(body: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Returns the SHA-256 of a body without buffering it. */
export async function digest(body: Readable): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of body as AsyncIterable<Buffer>) hash.update(chunk)
  return hash.digest('hex')
}
