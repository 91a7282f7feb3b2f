import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { type DavFault, type FaultScope, faultScript } from './faults.ts'
import type { DavScript } from './dav/fake-dav.ts'
import type { FakeDavRequest } from './dav/request.ts'
import { FakeServer, receiveBody } from './fake-server.ts'

export interface FakeCloudRequest extends FakeDavRequest {
  /** The origin of the fake that received the request. */
  readonly host: string
}

/** An error response in the provider's format. */
export class CloudFailure<E> extends Error {
  readonly error: E
  /** A request that no client should send: it is recorded, and fails the test. */
  readonly mistake: string | null

  constructor(error: E, mistake: string | null = null) {
    super(mistake ?? 'a failure')
    this.error = error
    this.mistake = mistake
  }
}

/** The result of routing a request by its head. */
export interface CloudHandler {
  /** A transfer of content. It counts as busy until the response is closed. */
  readonly isTransfer?: boolean
  /** Stores the received part of an interrupted body. */
  readonly storePartial?: (body: Buffer) => void
  /** Called when the body is complete, before the delay of the response. @throws CloudFailure */
  readonly accept?: (response: ServerResponse) => void
  /** Called after the delay. @throws CloudFailure */
  readonly send: (response: ServerResponse) => void
}

/** The requests to which a failure applies: all conditions must hold. */
export interface FailureScope extends Pick<FaultScope, 'after'> {
  readonly matching?: (request: FakeCloudRequest) => boolean
  readonly method?: string
  /** Without the query. */
  readonly path?: string | RegExp
  readonly host?: string
  /** Applies when the head has arrived, while the body is still being sent. */
  readonly early?: boolean
}

/**
 * The common parts of the cloud fakes: bearer tokens, a record of requests, and scripted failures. `E` is the
 * provider's error format.
 */
export abstract class FakeCloud<E> extends FakeServer {
  /** The valid tokens, unless a test decides otherwise. */
  abstract readonly tokens: Set<string>
  /** In order of arrival. */
  readonly requests: FakeCloudRequest[] = []
  /** The delay of a response in milliseconds. Does not apply to scripted failures. */
  delayMs: (request: FakeCloudRequest) => number = () => 0
  readonly #transfers = new Set<ServerResponse>()
  readonly #scripts: { readonly isEarly: boolean; readonly script: DavScript }[] = []

  /** Returns whether a bearer token is valid, for the record. */
  protected abstract isValidToken(bearer: string): boolean
  /** Reads the head of a request. @throws CloudFailure, which is sent when the body is complete */
  protected abstract route(request: FakeCloudRequest): CloudHandler
  protected abstract sendError(response: ServerResponse, error: E): void

  /** Returns the number of unfinished downloads and uploads on open sockets. */
  busy(): number {
    return this.#transfers.size
  }

  /** Returns `GET /drive/v3/files` and so on, in order of arrival. */
  operations(): string[] {
    return this.requests.map(({ method, path }) => `${method} ${path}`)
  }

  /** Makes the next matching requests fail: with an error of the provider, or any other fault. */
  failNext(times: number, fault: E | DavFault, scope: FailureScope = {}): void {
    const { method, path, host, matching = () => true, after = 0, early = false } = scope
    const applyFault: DavFault =
      typeof fault === 'function'
        ? (fault as DavFault)
        : (_request, response) => {
            this.sendError(response, fault)
          }
    const matchesRequest = (request: FakeDavRequest) =>
      (method === undefined || method === request.method) &&
      (host === undefined || host === (request as FakeCloudRequest).host) &&
      (path === undefined || (typeof path === 'string' ? path === request.path : path.test(request.path))) &&
      matching(request as FakeCloudRequest)
    this.#scripts.push({ isEarly: early, script: faultScript(applyFault, { matching: matchesRequest, after, times }) })
  }

  protected override async serve(message: IncomingMessage, response: ServerResponse, host: string): Promise<void> {
    response.on('error', () => {})
    const request = this.#requestOf(message, host)
    this.requests.push(request)
    const description = `${request.method} ${message.url ?? ''}`
    const handler = this.#attempt(description, () => this.route(request))
    if (!(handler instanceof CloudFailure) && handler?.isTransfer === true) {
      this.#transfers.add(response)
      response.once('close', () => this.#transfers.delete(response))
    }
    if (this.#applyScripts(true, request, response)) return
    const { body, isComplete } = await receiveBody(message)
    if (!isComplete) {
      if (!(handler instanceof CloudFailure)) handler?.storePartial?.(body)
      return
    }
    request.body = body
    if (this.#applyScripts(false, request, response)) return
    const accepted =
      handler instanceof CloudFailure || handler === undefined
        ? handler
        : this.#attempt(description, () => {
            handler.accept?.(response)
            return handler
          })
    const delayMs = this.delayMs(request)
    // Unreferenced, because the sockets are closed when the fake stops.
    if (delayMs > 0) await setTimeout(delayMs, undefined, { ref: false })
    const failure =
      accepted instanceof CloudFailure || accepted === undefined
        ? accepted
        : this.#attempt(description, () => {
            accepted.send(response)
            return null
          })
    if (failure instanceof CloudFailure) this.sendError(response, failure.error)
    else if (failure === undefined) message.socket.destroy()
  }

  /** @returns undefined if the fake itself has failed */
  #attempt<T>(description: string, run: () => T): T | CloudFailure<E> | undefined {
    try {
      return run()
    } catch (error) {
      if (error instanceof CloudFailure) {
        if (error.mistake !== null) this.mistakes.push(`${description}: ${error.mistake}`)
        return error as CloudFailure<E>
      }
      this.mistakes.push(`${description}: the fake broke: ${String(error)}`)
      return undefined
    }
  }

  /** Returns whether a script has handled the request, by a response or by preventing one. */
  #applyScripts(isEarly: boolean, request: FakeCloudRequest, response: ServerResponse): boolean {
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
      isAuthorized: bearer !== undefined && this.isValidToken(bearer),
      body: undefined
    }
  }
}
