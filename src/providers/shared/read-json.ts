import type { HttpAnswer } from '../../domain/egress.ts'
import { failure } from './http-failure.ts'

/**
 * The object that an answer holds as JSON.
 *
 * @throws StorageError `PROVIDER_ERROR` for anything else, a page of HTML for one
 */
export async function readJson({ body }: Pick<HttpAnswer, 'body'>): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  let value: unknown
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw failure('PROVIDER_ERROR', 'The server answered with something that is not JSON')
  }
  return asObject(value)
}

/** A text that says something; `null` for all else. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

/** A number of bytes; `null` for what can be none, or is not exact. */
export function sizeOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}

/** A property that should be an object; empty where it is none. */
export function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
