import type { FastifyBaseLogger } from 'fastify'
import { Diagnosis, StorageError } from '../domain/errors.ts'

const MAX_CAUSES = 4
const PLAIN_WORD = /^[\w.-]{1,64}$/

/**
 * Logs what went wrong on our side. An upstream error may hold a token or a whole answer in its message, its config or
 * its response: of the causes of a `StorageError` only the class, the code and the HTTP status are written, and the
 * words of those alone that are our own.
 */
export function logFailure(log: FastifyBaseLogger, status: number, error: unknown): void {
  if (status < 500) return
  if (!(error instanceof StorageError)) {
    log.error({ err: error }, 'unexpected error')
    return
  }
  const unexpected = status === 500
  log[unexpected ? 'error' : 'warn']({ code: error.code, causes: causesOf(error) }, error.message)
}

/** What an error and what lies beneath it may tell: of a `StorageError` it is what lies beneath alone. */
export function causesOf(error: unknown): object[] {
  const causes: object[] = []
  for (
    let cause = error instanceof StorageError ? error.cause : error;
    cause instanceof Error && causes.length < MAX_CAUSES;
    cause = cause.cause
  ) {
    const { name, code, $metadata } = cause as Error & { code?: unknown; $metadata?: { httpStatusCode?: unknown } }
    const message = cause instanceof Diagnosis ? cause.message : undefined
    causes.push({ name: plain(name), code: plain(code), status: plain($metadata?.httpStatusCode), message })
  }
  return causes
}

function plain(value: unknown): string | number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && PLAIN_WORD.test(value) ? value : undefined
}
