import type { Writable } from 'node:stream'
import type { FastifyRequest, FastifyServerOptions } from 'fastify'
import type { LogLevel } from '../config.ts'

type LoggerOptions = Exclude<FastifyServerOptions['logger'], boolean | undefined>

const MAX_CAUSES = 4
const HIDDEN = '[hidden]'

/** Maximum characters of a logged URL, host or address, and message. Requests may hold 32 KB of each without a token. */
const MAX_URL = 1024
const MAX_HOST = 255
const MAX_MESSAGE = 4096

/** A word of a log line. The quotes and escapes of JSON delimit words too. */
const WORD = /[^\s"\\]+/g
const SCHEMES = /\b(Bearer|Basic|Digest|Negotiate)\s+[^\s"\\]+/gi
/** A user name and password in a URL. A slash ends each attempt, so repeated `://` stay linear. */
const USER_INFO = /:\/\/[^/?#]+@/g
const HTTP = /https?:\/\/[^?]/i
/** A user name and password, or a host, at the end of a text that was cut: the `@` behind it may be missing. */
const CUT_USER_INFO = /:\/\/[^\s"\\/?#]*$/

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
 * Hides credentials and URL queries in a log line; JSON stays valid. Takes time linear in the text, which may contain
 * paths and hosts of unauthenticated requests.
 */
export function withoutSecrets(text: string): string {
  const shown = text.replace(SCHEMES, `$1 ${HIDDEN}`)
  return shown.includes('://') ? shown.replace(WORD, withoutUrlSecrets) : shown
}

function withoutUrlSecrets(word: string): string {
  if (!word.includes('://')) return word
  const http = word.search(HTTP)
  const query = http === -1 ? -1 : word.indexOf('?', http)
  const shown = query === -1 || query === word.length - 1 ? word : `${word.slice(0, query)}?${HIDDEN}`
  return shown.replace(USER_INFO, `://${HIDDEN}@`)
}

/**
 * Cuts a long text at `maxLength`, at a cost that does not depend on the rest. No secret is cut in half: what may be the
 * beginning of `user:password@` is hidden, since no pattern finds it without the `@`; tokens and queries are found by
 * their beginning.
 */
export function shortened(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text
  const shown = withoutSecrets(text.slice(0, maxLength).replace(CUT_USER_INFO, `://${HIDDEN}`))
  return `${shown.slice(0, maxLength)}…`
}

/** Of whatever is logged as `req`: a line of the log must never fail. */
export function describeRequest(request: Partial<FastifyRequest>): Record<string, unknown> {
  const { method, url, host, ip } = request
  return {
    method,
    url: url === undefined ? undefined : shortened(url.split('?', 1)[0] ?? '', MAX_URL),
    host: host === undefined ? undefined : shortened(host, MAX_HOST),
    // With trusted proxies it is text of a header.
    remoteAddress: ip === undefined ? undefined : shortened(ip, MAX_HOST)
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
