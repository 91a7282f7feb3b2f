import type { Writable } from 'node:stream'
import type { FastifyRequest, FastifyServerOptions } from 'fastify'
import type { LogLevel } from '../config.ts'

type LoggerOptions = Exclude<FastifyServerOptions['logger'], boolean | undefined>

const MAX_CAUSES = 4
const HIDDEN = '[hidden]'

/** Maximum lengths of a logged URL, host or address, and message. Without a token, each may have 32 KB. */
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

/** Paths where a library may put a whole request into an error or a log line. */
const NEVER_LOGGED = ['headers', '*.headers', '*.*.headers', 'authorization', '*.authorization', 'cookie', '*.cookie']

/**
 * Returns the options of a JSON log. It omits queries, which contain cursors and folder names, headers, and error
 * properties that are not known to be harmless. Finally, `withoutSecrets` filters each line.
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
 * Cuts a long text at `maxLength`, in time independent of the rest. A possible beginning of `user:password@` at the
 * cut is hidden, since no pattern finds it without the `@`. Tokens and queries are found by their beginning.
 */
export function shortened(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text
  const shown = withoutSecrets(text.slice(0, maxLength).replace(CUT_USER_INFO, `://${HIDDEN}`))
  return `${shown.slice(0, maxLength)}…`
}

/** Serializes anything that is logged as `req`. All fields are optional, since logging must never fail. */
export function describeRequest(request: Partial<FastifyRequest>): Record<string, unknown> {
  const { method, url: routedUrl, originalUrl: url = routedUrl, host, ip } = request
  return {
    method,
    url: url === undefined ? undefined : shortened(url.split('?', 1)[0] ?? '', MAX_URL),
    host: host === undefined ? undefined : shortened(host, MAX_HOST),
    // With trusted proxies, this is text of a header.
    remoteAddress: ip === undefined ? undefined : shortened(ip, MAX_HOST)
  }
}

/** Omits properties that libraries add to their errors: requests, configurations, raw packets. */
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
