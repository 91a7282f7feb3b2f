import type { Writable } from 'node:stream'
import type { FastifyRequest, FastifyServerOptions } from 'fastify'
import type { LogLevel } from '../config.ts'

type LoggerOptions = Exclude<FastifyServerOptions['logger'], boolean | undefined>

const MAX_CAUSES = 4
const HIDDEN = '[hidden]'

/** Credentials as they stand in messages of libraries: after a scheme's name, before a host, behind a question mark. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\b(Bearer|Basic|Digest|Negotiate)\s+[^\s"\\]+/gi, `$1 ${HIDDEN}`],
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s"\\/?#]+@/gi, `$1${HIDDEN}@`],
  [/(\bhttps?:\/\/[^\s"\\?]+)\?[^\s"\\]+/gi, `$1?${HIDDEN}`]
]

/** Where a library might put a whole request into an error or a log line. */
const NEVER_LOGGED = ['headers', '*.headers', '*.*.headers', 'authorization', '*.authorization', 'cookie', '*.cookie']

/**
 * Logging by lines of JSON without queries (they hold cursors and folders' names), headers, or what of an error is
 * not known to be harmless. The last word has `withoutSecrets`, on each finished line.
 */
export function logOptions(level: LogLevel, stream?: Writable): LoggerOptions {
  return {
    level,
    serializers: { req: describeRequest, err: describeError },
    redact: { paths: NEVER_LOGGED, censor: HIDDEN },
    hooks: { streamWrite: withoutSecrets },
    ...(stream && { stream })
  }
}

/** The text, with what looks like a credential or a query made unreadable. A line of JSON stays one. */
export function withoutSecrets(text: string): string {
  return SECRETS.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text)
}

/** Of whatever is logged as `req`: a line of the log must never fail. */
function describeRequest(request: Partial<FastifyRequest>): Record<string, unknown> {
  const { method, url, host, ip } = request
  return { method, url: url?.replace(/\?.*/s, ''), host, remoteAddress: ip }
}

/** Not the properties that libraries hang on their errors: requests, configurations, raw packets. */
function describeError(error: unknown): DescribedError {
  if (error instanceof Error) return describe(error, MAX_CAUSES)
  return { type: typeof error, message: '', stack: '' }
}

interface DescribedError extends Record<string, unknown> {
  readonly type: string
  readonly message: string
  readonly stack: string
}

function describe(error: Error & { code?: unknown; statusCode?: unknown }, causes: number): DescribedError {
  const { name, message, stack, code, statusCode, cause } = error
  return {
    type: name,
    message,
    stack: stack ?? '',
    code: typeof code === 'string' ? code : undefined,
    statusCode: typeof statusCode === 'number' ? statusCode : undefined,
    cause: cause instanceof Error && causes > 0 ? describe(cause, causes - 1) : undefined
  }
}
