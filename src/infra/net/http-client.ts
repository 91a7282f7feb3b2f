import { Readable } from 'node:stream'
import type { Agent } from 'undici'
import type { HttpAnswer, HttpRequest } from '../../domain/egress.ts'
import { Diagnosis, isStorageError, StorageError } from '../../domain/errors.ts'
import type { Timeouts } from '../../domain/ports.ts'
import { providerFailure } from '../../domain/provider-failure.ts'
import { ACCEPTED_ENCODINGS, decodeBody, verbatimBody } from './answer-body.ts'
import { connectionFailure } from './connection-failure.ts'
import type { EgressRules } from './egress-rules.ts'
import { isAtDeclaredHost, isOtherScheme, isSameOrigin } from './host-pin.ts'
import { describeExchange } from './redact.ts'
import { untilAborted } from '../../domain/until-aborted.ts'
import { USER_AGENT } from './user-agent.ts'

const MAX_REDIRECTS = 3
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** What may be asked once more, at another place: methods that only read. */
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PROPFIND'])
/** All that follows to another host: what cannot be a credential, by whatever name a provider has for one. */
const HARMLESS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'content-type',
  'depth',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'range',
  'user-agent'
])
const HTTP = /^https?:$/
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
/** A body that is not longer is on its way at once. */
const MAX_QUICK_BYTES = 64 * 1024
/** So much of an unwanted body is read, to keep its connection. */
const MAX_DISCARDED_BYTES = 64 * 1024

/** Calls that end soon, and bodies that may rest for minutes: neither waits for a connection of the other. */
export type Pool = 'calls' | 'bodies'

export interface HttpClientOptions {
  readonly rules: EgressRules
  readonly timeouts: Timeouts
  readonly dispatcher: (pool: Pool) => Promise<Agent>
}

/** HTTP with redirects by hand, every deadline, and limits. */
export class HttpClient {
  readonly #options: HttpClientOptions

  constructor(options: HttpClientOptions) {
    this.#options = options
  }

  async request(asked: HttpRequest): Promise<HttpAnswer> {
    const deadline = new Deadline(asked, this.#options.timeouts.totalMs)
    try {
      const answer = await this.#follow(asked, deadline.signal)
      deadline.holdFor(answer.body)
      return answer
    } catch (error) {
      deadline.end()
      // Nobody will read it any more, and it may hold a file.
      if (asked.body instanceof Readable) asked.body.destroy()
      throw error
    }
  }

  async #follow(asked: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    let request = asked
    for (let redirects = 0; ; redirects++) {
      const answer = await this.#exchange(request, signal).catch((error: unknown) => {
        throw isStorageError(error) ? error.about({ host: request.url.host }) : error
      })
      const location = answer.headers['location']
      if (asked.redirects === 'manual' || !REDIRECTS.has(answer.status) || location === undefined) return answer
      await answer.discard()
      request = { ...request, ...redirected(request, location, redirects) }
    }
  }

  async #exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const { rules, timeouts, dispatcher } = this.#options
    const { method, url, headers = {}, body, purpose = 'answer', maxBytes = MAX_ANSWER_BYTES, workMs } = request
    const isAnswer = purpose === 'answer'
    rules.assertAllowed(url)
    signal.throwIfAborted()
    const toError = (error: unknown): Error => {
      if (signal.aborted)
        return signal.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal.reason })
      return connectionFailure(error, describeExchange(method, url)).about({ host: url.host })
    }
    try {
      // A body that is sent waits for its source, whatever its answer is for.
      const agent = await dispatcher(isAnswer && !isLong(body) ? 'calls' : 'bodies')
      const {
        statusCode: status,
        headers: received,
        body: raw
      } = await untilAborted(
        agent.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method,
          headers: {
            'user-agent': USER_AGENT,
            'accept-encoding': isAnswer ? ACCEPTED_ENCODINGS : 'identity',
            ...headers
          },
          body: body ?? null,
          signal,
          // While a body is being sent only a network that takes none of it runs into this limit. Behind a long one a
          // server has more to do than behind a question.
          headersTimeout: workMs ?? (isLong(body) ? timeouts.totalMs : timeouts.headersMs),
          // The reader of a transfer sets its pace; silence is for whoever wraps the body to notice.
          bodyTimeout: isAnswer ? timeouts.idleMs : 0
        }),
        signal,
        ({ body: late }) => {
          late.on('error', () => {}).destroy()
        }
      )
      const flat = flatten(received)
      // What has no body has the headers of one all the same, and nothing is no stream that could be decompressed.
      const isEmpty = method === 'HEAD' || status === 204 || status === 304 || flat['content-length'] === '0'
      const coding = isEmpty ? undefined : flat['content-encoding']
      const whole = isAnswer ? decodeBody(raw, coding, maxBytes, toError) : verbatimBody(raw, toError)
      return { status, headers: flat, url, body: whole, discard: () => discard(whole, timeouts.idleMs) }
    } catch (error) {
      signal.throwIfAborted()
      throw toError(error)
    }
  }
}

/** Whether sending it may take a while: the time until the answer counts from before the first byte. */
function isLong(body: HttpRequest['body']): boolean {
  return body instanceof Readable || (body !== undefined && body.length > MAX_QUICK_BYTES)
}

/**
 * Where a redirect leads, checked.
 *
 * @throws StorageError `SCHEME_MISMATCH` for one from https to http of the same host, or the other way round;
 * `PROVIDER_ERROR` for any other that is not followed
 */
function redirected(request: HttpRequest, location: string, redirects: number): Partial<HttpRequest> {
  const { method, url: from, headers = {}, body, redirectHosts = [] } = request
  if (URL.canParse(location, from.href) && isOtherScheme(from, new URL(location, from))) {
    const cause = new Diagnosis(`${describeExchange(method, from)} was redirected to another scheme`)
    throw providerFailure('SCHEME_MISMATCH', { cause, responded: true })
  }
  const refuse = (why: string): StorageError =>
    new StorageError('PROVIDER_ERROR', 'The provider answers from another place than it should.', {
      cause: new Diagnosis(`${describeExchange(method, from)} was redirected ${why}`)
    }).about({ host: from.host })
  if (redirects === MAX_REDIRECTS) throw refuse('too often')
  if (!READING.has(method)) throw refuse('although it writes')
  if (body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body)) throw refuse('with a body that is gone')
  if (!URL.canParse(location, from.href)) throw refuse('to nowhere')
  const url = new URL(location, from)
  if (url.username !== '' || url.password !== '') throw refuse('with a user name')
  if (isSameOrigin(from, url)) return { url }
  if (!isAtDeclaredHost(url, redirectHosts))
    throw refuse(`to ${HTTP.test(url.protocol) ? url.origin : 'what is not HTTP'}`)
  return { url, headers: Object.fromEntries(Object.entries(headers).filter(([name]) => HARMLESS.has(name))) }
}

/** Ends an exchange with its caller's signal, and an answer after its total time also when bytes keep coming. */
class Deadline {
  readonly signal: AbortSignal
  readonly #end: () => void
  readonly #timer: NodeJS.Timeout | undefined

  constructor({ signal: outer, purpose = 'answer' }: HttpRequest, totalMs: number) {
    if (purpose === 'transfer') {
      this.signal = outer
      this.#end = () => {}
      return
    }
    // Not AbortSignal.any(): on Node 20 a composed time-out is lost to the garbage collector.
    const controller = new AbortController()
    const leave = (): void => {
      controller.abort(outer.reason)
    }
    outer.addEventListener('abort', leave, { once: true })
    if (outer.aborted) leave()
    const timer = setTimeout(() => {
      controller.abort(providerFailure('PROVIDER_TIMEOUT'))
    }, totalMs)
    this.#timer = timer
    this.signal = controller.signal
    this.#end = () => {
      clearTimeout(timer)
      outer.removeEventListener('abort', leave)
    }
  }

  /** From here on the body's socket keeps the process alive, as long as it should. */
  holdFor(body: Readable): void {
    this.#timer?.unref()
    if (body.closed) this.#end()
    else body.once('close', this.#end)
  }

  end(): void {
    this.#end()
  }
}

function flatten(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const flat: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value
  }
  return flat
}

async function discard(body: Readable, withinMs: number): Promise<void> {
  let left = MAX_DISCARDED_BYTES
  // A transfer has no deadline of its own.
  const timer = setTimeout(() => body.destroy(), withinMs)
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      left -= chunk.length
      if (left < 0) break
    }
  } catch {
    // Nobody wanted it.
  } finally {
    clearTimeout(timer)
  }
}
