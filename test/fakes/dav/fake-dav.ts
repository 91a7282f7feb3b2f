import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { FakeServer, receiveBody } from '../fake-server.ts'
import type { Lifetime } from '../lifetime.ts'
import { authenticator, type Authenticator, type FakeDavAuth } from './auth.ts'
import type { DavExtension } from './extension.ts'
import { DavFailure, DavMistake, sendFailure } from './failure.ts'
import { handleDav, type DavContext, type FakeDavRules, openPut } from './methods.ts'
import { checkRequestHead, type FakeDavRequest } from './request.ts'
import { FakeTree } from './tree.ts'

/** Responds in place of the fake and returns true, or leaves the request to the fake. */
export type DavScript = (request: FakeDavRequest, response: ServerResponse) => boolean | undefined

export interface FakeDavOptions extends Partial<FakeDavRules> {
  /** Basic by default. */
  readonly auth?: FakeDavAuth
  /** Responds with 401 as soon as the head has arrived, while the body is still being sent. */
  readonly rejectsEarly?: boolean
  readonly extension?: DavExtension
}

/**
 * An in-memory WebDAV server on a real socket. It checks requests strictly and can respond as scripted. It is based
 * on the RFCs (4918, 9110, 7616, 7617), not on the backend under test. Other tests use real servers.
 */
export class FakeDav extends FakeServer {
  readonly tree = new FakeTree()
  readonly requests: FakeDavRequest[] = []
  /** Additional allowed values of `Host`, for a proxy in front of the fake. */
  readonly hosts = new Set<string>()
  /** Called when the body is complete. Mistakes in the head are recorded nevertheless. */
  script: DavScript = () => undefined
  /** Called when the head has arrived: before the body, and before the check for mistakes. */
  earlyScript: DavScript = () => undefined
  readonly rules: FakeDavRules
  readonly #responses = new Set<ServerResponse>()
  readonly #authenticator: Authenticator
  readonly #extension: DavExtension | undefined
  readonly #rejectsEarly: boolean

  private constructor({ auth = { type: 'basic' }, rejectsEarly = false, extension, ...rules }: FakeDavOptions) {
    super()
    this.#authenticator = authenticator(auth)
    this.#rejectsEarly = rejectsEarly
    this.#extension = extension
    this.rules = {
      basePath: '/dav/',
      etags: 'strong',
      preconditions: true,
      hrefs: 'path',
      collectionSlash: 'redirect',
      missingParent: 409,
      etagProperties: true,
      keepsPartialUpload: () => true,
      moves: 'native',
      ifHeader: 'checked',
      notFoundFirst: false,
      normalizes: false,
      prefix: 'D',
      ...rules
    }
  }

  static async start(t: Lifetime, options: FakeDavOptions = {}): Promise<FakeDav> {
    const fake = new FakeDav(options)
    await fake.listen(t, 'DAV')
    return fake
  }

  /** The URL of the root collection; ends with a slash. */
  get url(): string {
    return this.origin + this.rules.basePath
  }

  /** Handles requests for WebSockets. */
  onUpgrade: (message: IncomingMessage, socket: Duplex, head: Buffer) => void = (_message, socket) => {
    socket.destroy()
  }

  protected override upgrade(message: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.onUpgrade(message, socket, head)
  }

  /** Returns the number of unfinished responses on open sockets: transfers in progress. */
  busy(): number {
    return this.#responses.size
  }

  /** Returns `PROPFIND /dav/` and so on, in order of arrival. */
  operations(): string[] {
    return this.requests.map(({ method, path }) => `${method} ${path}`)
  }

  protected override async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#responses.add(response)
    response.on('error', () => {})
    // Also unfinished until the received part of an interrupted body is stored.
    let isHandled = false
    const release = () => {
      if (isHandled && response.closed) this.#responses.delete(response)
    }
    response.once('close', release)
    const [path = '', search = ''] = (message.url ?? '').split('?')
    const { method = '', headers, url: target = '' } = message
    const authError = this.#authenticator.check({ method, target, authorization: headers.authorization })
    const request: FakeDavRequest = {
      method,
      path,
      query: new URLSearchParams(search),
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value?.toString()])),
      isAuthorized: authError === undefined,
      body: undefined
    }
    this.requests.push(request)
    try {
      if (this.earlyScript(request, response) === true) return
      if (this.#rejectsEarly && authError !== undefined) throw authError
      const isDav = this.#extension === undefined || path.startsWith(this.rules.basePath)
      const mistake = isDav ? this.#mistakeOf(message, request) : undefined
      const opensFile = isDav && method === 'PUT' && mistake === undefined && authError === undefined
      const upload = opensFile ? openPut(this.#context, request) : undefined
      const { body, isComplete } = await receiveBody(message)
      if (!isComplete) {
        upload?.interrupt(body)
        throw new Error('the body was interrupted')
      }
      upload?.end()
      request.body = body
      if (this.script(request, response) === true) {
        // Records the mistake even if the script determines the response.
        if (mistake !== undefined) this.mistakes.push(`${method} ${target}: ${mistake.message}`)
        return
      }
      if (mistake !== undefined) throw mistake
      if (this.#extension?.serve(request, response) === true) return
      if (authError !== undefined) throw authError
      handleDav(this.#context, request, response)
    } catch (error) {
      // The body was interrupted and the socket is closed.
      if (!(error instanceof DavFailure)) message.socket.destroy()
      else {
        if (error instanceof DavMistake) this.mistakes.push(`${method} ${target}: ${error.message}`)
        sendFailure(method, response, error)
      }
    } finally {
      isHandled = true
      release()
    }
  }

  get #context(): DavContext {
    const { origin, tree } = this
    return { ...this.rules, origin, hosts: this.#ownHosts, tree, extension: this.#extension }
  }

  get #ownHosts(): string[] {
    return [new URL(this.origin).host, ...this.hosts]
  }

  #mistakeOf(message: IncomingMessage, request: FakeDavRequest): DavFailure | undefined {
    try {
      checkRequestHead(message, request, this.#ownHosts, this.#extension?.headers[request.method] ?? [])
      return undefined
    } catch (error) {
      if (error instanceof DavFailure) return error
      throw error
    }
  }
}
