import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import type { DavFault, FaultLimits } from './faults.ts'
import { faulty } from './faults.ts'
import type { DavScript } from './dav/fake-dav.ts'
import type { FakeDavRequest } from './dav/request.ts'
import { FakeServer } from './fake-server.ts'

export interface FakeCloudRequest extends FakeDavRequest {
  /** Which of the fake's origins was asked. */
  readonly host: string
}

/** An answer that is no success, in the provider's own words. */
export class CloudFailure<E> extends Error {
  readonly error: E
  /** What nobody should ask: it is recorded, and fails the test that caused it. */
  readonly mistake: string | null

  constructor(error: E, mistake: string | null = null) {
    super(mistake ?? 'a failure')
    this.error = error
    this.mistake = mistake
  }
}

/** What a request comes to, known from its head. */
export interface CloudAnswer {
  /** Content goes over the wire: the fake is busy for as long. */
  readonly isTransfer?: boolean
  /** Takes what came of a body that broke off. */
  readonly keep?: (body: Buffer) => void
  /** Once the body is there. @throws CloudFailure */
  readonly send: (response: ServerResponse) => void
}

/** Which requests a failure strikes: all of these must hold. */
export interface FailureLimits extends Pick<FaultLimits, 'after'> {
  readonly matching?: (request: FakeCloudRequest) => boolean
  readonly method?: string
  /** Without the query. */
  readonly path?: string | RegExp
  readonly host?: string
  /** Once the head is there, while a body is still coming. */
  readonly early?: boolean
}

/**
 * What the fakes of clouds have in common: bearer tokens, a record of what was asked, and failures as a test scripts
 * them. `E` is how the provider says an error.
 */
export abstract class FakeCloud<E> extends FakeServer {
  /** Those that are good, unless a test decides otherwise. */
  abstract readonly tokens: Set<string>
  /** In the order in which they came. */
  readonly requests: FakeCloudRequest[] = []
  /** How long an answer takes, in milliseconds. A failure that is scripted comes at once. */
  delayMs: (request: FakeCloudRequest) => number = () => 0
  readonly #transfers = new Set<ServerResponse>()
  readonly #scripts: { readonly isEarly: boolean; readonly script: DavScript }[] = []

  /** Whether a bearer token is good, for the record. */
  protected abstract isGood(bearer: string): boolean
  /** Reads the head of a request. @throws CloudFailure, which is sent once the body is there */
  protected abstract route(request: FakeCloudRequest): CloudAnswer
  protected abstract refuse(response: ServerResponse, error: E): void

  /** How many downloads and uploads are unfinished on sockets that are open. */
  busy(): number {
    return this.#transfers.size
  }

  /** `GET /drive/v3/files` and so on, in the order in which they came. */
  operations(): string[] {
    return this.requests.map(({ method, path }) => `${method} ${path}`)
  }

  /** Has the next requests fail, of those which the limits mean: with an error of the provider, or any other fault. */
  failNext(times: number, fault: E | DavFault, limits: FailureLimits = {}): void {
    const { method, path, host, matching = () => true, after = 0, early = false } = limits
    const strike: DavFault =
      typeof fault === 'function'
        ? (fault as DavFault)
        : (_request, response) => {
            this.refuse(response, fault)
          }
    const isMeant = (request: FakeDavRequest) =>
      (method === undefined || method === request.method) &&
      (host === undefined || host === (request as FakeCloudRequest).host) &&
      (path === undefined || (typeof path === 'string' ? path === request.path : path.test(request.path))) &&
      matching(request as FakeCloudRequest)
    this.#scripts.push({ isEarly: early, script: faulty(strike, { matching: isMeant, after, times }) })
  }

  protected override async serve(message: IncomingMessage, response: ServerResponse, host: string): Promise<void> {
    response.on('error', () => {})
    const request = this.#requestOf(message, host)
    this.requests.push(request)
    const what = `${request.method} ${message.url ?? ''}`
    const answer = this.#attempt(what, () => this.route(request))
    if (!(answer instanceof CloudFailure) && answer?.isTransfer === true) {
      this.#transfers.add(response)
      response.once('close', () => this.#transfers.delete(response))
    }
    if (this.#strike(true, request, response)) return
    const { body, isWhole } = await bodyOf(message)
    if (!isWhole) {
      if (!(answer instanceof CloudFailure)) answer?.keep?.(body)
      return
    }
    request.body = body
    if (this.#strike(false, request, response)) return
    const delayMs = this.delayMs(request)
    // Nobody waits for it at the end of a fake, whose sockets are gone by then.
    if (delayMs > 0) await setTimeout(delayMs, undefined, { ref: false })
    const failure =
      answer instanceof CloudFailure || answer === undefined
        ? answer
        : this.#attempt(what, () => {
            answer.send(response)
            return null
          })
    if (failure instanceof CloudFailure) this.refuse(response, failure.error)
    else if (failure === undefined) message.socket.destroy()
  }

  /** @returns undefined where the fake itself broke */
  #attempt<T>(what: string, act: () => T): T | CloudFailure<E> | undefined {
    try {
      return act()
    } catch (error) {
      if (error instanceof CloudFailure) {
        if (error.mistake !== null) this.mistakes.push(`${what}: ${error.mistake}`)
        return error as CloudFailure<E>
      }
      this.mistakes.push(`${what}: the fake broke: ${String(error)}`)
      return undefined
    }
  }

  /** Whether it has answered, or has seen to it that nobody will. */
  #strike(isEarly: boolean, request: FakeCloudRequest, response: ServerResponse): boolean {
    return this.#scripts.some((entry) => entry.isEarly === isEarly && entry.script(request, response) === true)
  }

  #requestOf(message: IncomingMessage, host: string): FakeCloudRequest {
    const { method = '', headers, url: target = '' } = message
    const [path = '', search = ''] = target.split('?')
    const [, bearer] = /^Bearer (\S+)$/.exec(headers.authorization ?? '') ?? []
    return {
      host,
      method,
      path,
      query: new URLSearchParams(search),
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value?.toString()])),
      isAuthorized: bearer !== undefined && this.isGood(bearer),
      body: undefined
    }
  }
}

/** What came of a body, also of one that broke off. */
async function bodyOf(message: IncomingMessage): Promise<{ body: Buffer; isWhole: boolean }> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk)
    return { body: Buffer.concat(chunks), isWhole: true }
  } catch {
    return { body: Buffer.concat(chunks), isWhole: false }
  }
}
