import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { FakeCloud, type CloudHandler, type FakeCloudRequest } from '../fake-cloud.ts'
import { FakeGraphApi, unauthenticated } from './api.ts'
import { FakeGraphDelta } from './delta.ts'
import { FakeGraphDownloads } from './downloads.ts'
import { GraphMistake, sendError, type GraphError } from './failure.ts'
import { checkRequestHead } from './head.ts'
import { newKnobs, type FakeGraphKnobs } from './knobs.ts'
import type { GraphKind } from './node.ts'
import { FakeGraphNotifications } from './notifications.ts'
import { newGraphPages } from './reads.ts'
import { isTransfer, routeOf } from './routes.ts'
import { FakeGraphTree } from './tree.ts'
import { FakeGraphUploads } from './uploads.ts'
import { ALL_SCOPES, type GraphCaller } from './view.ts'

export const FAKE_GRAPH_TOKEN = 'EwB4A8l6BAAU.fake-graph-token'

export interface FakeGraphOptions {
  /** Default `business`, which has sites too. */
  readonly kind?: GraphKind
  /** Returns the caller of a bearer token, or null if it is invalid. By default only those in `tokens` are valid. */
  readonly authorize?: (bearer: string) => GraphCaller | null
  readonly now?: () => Date
}

/**
 * OneDrive and SharePoint in Microsoft Graph v1.0, in memory, on real sockets. It checks requests strictly and can
 * fail as scripted. It is based on Microsoft's documentation and on the requests of Microsoft's official client, not
 * on the backend under test.
 */
export class FakeGraph extends FakeCloud<GraphError> {
  readonly tree: FakeGraphTree
  readonly knobs: FakeGraphKnobs
  readonly pages = newGraphPages()
  readonly uploads: FakeGraphUploads
  readonly downloads: FakeGraphDownloads
  /** The feeds of changes. */
  readonly delta: FakeGraphDelta
  /** Valid for the user `me` with all scopes, unless `authorize` is given. */
  readonly tokens = new Set([FAKE_GRAPH_TOKEN])
  readonly #authorize: (bearer: string) => GraphCaller | null
  readonly notifications: FakeGraphNotifications
  readonly #now: () => Date
  readonly #api: FakeGraphApi

  private constructor({ kind = 'business', authorize, now = () => new Date() }: FakeGraphOptions) {
    super(['api', 'content', 'push'])
    this.#now = now
    this.tree = new FakeGraphTree(kind, now)
    this.knobs = newKnobs(kind)
    this.uploads = new FakeGraphUploads(this.knobs, kind, now)
    this.downloads = new FakeGraphDownloads(this.tree, this.knobs)
    this.delta = new FakeGraphDelta(this.knobs, now)
    const { mistakes } = this
    this.notifications = new FakeGraphNotifications(() => this.originOf('push'), mistakes)
    this.#authorize = authorize ?? ((bearer) => (this.tokens.has(bearer) ? { user: 'me', scopes: ALL_SCOPES } : null))
    this.#api = new FakeGraphApi(this)
  }

  static async start(t: Test, options: FakeGraphOptions = {}): Promise<FakeGraph> {
    const fake = new FakeGraph(options)
    await fake.listen(t, 'Graph')
    return fake
  }

  /** The Graph's own origin, without `/v1.0`. */
  get url(): string {
    return this.origin
  }

  /** The origin of downloads and uploads. */
  get contentUrl(): string {
    return this.originOf('content')
  }

  /** Resets `times` downloads, each after `afterBytes`. */
  resetDownloads(times: number, afterBytes: number): void {
    this.knobs.downloadResets = { times, afterBytes }
  }

  expirePageTokens(): void {
    this.pages.expire()
  }

  /** Expires all positions of feeds, as after a long time. */
  expireFeedTokens(): void {
    this.delta.expire()
  }

  expireDownloadUrls(): void {
    this.downloads.expire()
  }

  expireUploadSessions(): void {
    this.uploads.expire()
  }

  /** Serves the notifications of changes. */
  protected override upgrade(message: IncomingMessage, socket: Duplex, head: Buffer, host: string): void {
    if (host === 'push') this.notifications.serve(message, socket, head)
    else socket.destroy()
  }

  protected override isValidToken(bearer: string): boolean {
    return this.#authorize(bearer) !== null
  }

  protected override sendError(response: ServerResponse, error: GraphError): void {
    sendError(response, error, this.#now())
  }

  protected override route(request: FakeCloudRequest): CloudHandler {
    const { authorization } = request.headers
    if (request.host === 'content' && authorization !== undefined) {
      throw new GraphMistake('a token where an address is secret', { code: 'unauthenticated' })
    }
    const route = routeOf(request)
    checkRequestHead(route, request, this.tree.kind)
    return {
      isTransfer: isTransfer(route),
      send: (response) => {
        if (request.host === 'content') this.#api.handleUnauthenticated(route, request, response)
        else this.#api.handle(route, request, response, this.#callerOf(authorization))
      }
    }
  }

  #callerOf(authorization: string | undefined): GraphCaller {
    const [, bearer] = /^Bearer (\S+)$/.exec(authorization ?? '') ?? []
    const caller = bearer === undefined ? null : this.#authorize(bearer)
    if (caller === null) throw unauthenticated(authorization === undefined)
    return caller
  }
}
