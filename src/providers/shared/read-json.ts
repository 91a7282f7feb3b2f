import type { HttpAnswer } from '../../domain/egress.ts'
import { failure } from './http-failure.ts'

/**
 * Parses the body of a response as a JSON object.
 *
 * @throws StorageError `PROVIDER_ERROR` if it is not JSON, such as an HTML page
 */
export async function readJson({ body }: Pick<HttpAnswer, 'body'>): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  let value: unknown
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw failure('PROVIDER_ERROR', 'The response of the server is not valid JSON')
  }
  return asObject(value)
}

/** Returns a non-empty string; `null` for any other value. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

/** Returns a size in bytes; `null` for an invalid or inexact value. */
export function sizeOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}

/** Returns a value that should be an object; an empty object for any other value. */
export function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
