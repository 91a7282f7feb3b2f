import type { Writable } from 'node:stream'
import type { FastifyRequest, FastifyServerOptions } from 'fastify'
import type { LogLevel } from '../config.ts'

type LoggerOptions = Exclude<FastifyServerOptions['logger'], boolean | undefined>

const MAX_CAUSES = 4
const HIDDEN = '[hidden]'

/** Characters of a logged URL, host or message. Anyone may send 32 KB of each, without a token. */
const MAX_URL = 1024
const MAX_HOST = 255
const MAX_MESSAGE = 4096

/** A word of a log line: the quotes and escapes of JSON end it. */
const WORD = /[^\s"\\]+/g
const SCHEMES = /\b(Bearer|Basic|Digest|Negotiate)\s+[^\s"\\]+/gi
/** A user name and password in a URL. The next slash ends the attempt, so that many `://` cost no more than one. */
const USER_INFO = /:\/\/[^/?#]+@/g
const HTTP = /https?:\/\/[^?]/i

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
    hooks: {
      streamWrite: withoutSecrets,
      logMethod(args, method) {
        const bounded = args.map((arg: unknown) => (typeof arg === 'string' ? shortened(arg, MAX_MESSAGE) : arg))
        method.apply(this, bounded as typeof args)
      }
    },
    ...(stream && { stream })
  }
}

/**
 * Hides what looks like a credential or a query. A line of JSON stays one. Takes time linear in the text: it sees the
 * paths and hosts of requests without a token.
 */
export function withoutSecrets(text: string): string {
  return text.replace(SCHEMES, `$1 ${HIDDEN}`).replace(WORD, withoutUrlSecrets)
}

function withoutUrlSecrets(word: string): string {
  const http = word.search(HTTP)
  const query = http === -1 ? -1 : word.indexOf('?', http)
  const shown = query === -1 || query === word.length - 1 ? word : `${word.slice(0, query)}?${HIDDEN}`
  return shown.replace(USER_INFO, `://${HIDDEN}@`)
}

function shortened(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength)}…`
}

/** Of whatever is logged as `req`: a line of the log must never fail. */
function describeRequest(request: Partial<FastifyRequest>): Record<string, unknown> {
  const { method, url, host, ip } = request
  return {
    method,
    url: url === undefined ? undefined : shortened(url.split('?', 1)[0] ?? '', MAX_URL),
    host: host === undefined ? undefined : shortened(host, MAX_HOST),
    remoteAddress: ip
  }
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
    message: shortened(message, MAX_MESSAGE),
    stack: shortened(stack ?? '', 2 * MAX_MESSAGE),
    code: typeof code === 'string' ? code : undefined,
    statusCode: typeof statusCode === 'number' ? statusCode : undefined,
    cause: cause instanceof Error && causes > 0 ? describe(cause, causes - 1) : undefined
  }
}
