import type { ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { boxHandlers } from './api.ts'
import { BoxCall } from './call.ts'
import { FakeBoxDownloads } from './downloads.ts'
import { FakeBoxEvents } from './events.ts'
import { insufficientScope, sendError, unauthorized, type BoxError } from './failure.ts'
import { newKnobs, type FakeBoxKnobs } from './knobs.ts'
import { newBoxPages } from './reads.ts'
import type { BoxPerson } from './resource.ts'
import { accessOf, checkRequestHead, isTransfer, routeOf, type BoxRoute } from './routes.ts'
import { FakeBoxTree } from './tree.ts'
import { FakeBoxUploads } from './uploads.ts'
import { FakeBoxWrites } from './writes.ts'
import { type CloudHandler, FakeCloud, type FakeCloudRequest } from '../fake-cloud.ts'

export const FAKE_BOX_TOKEN = 'fake-box-token'
export const BOX_READ_SCOPE = 'root_readonly'
export const BOX_WRITE_SCOPE = 'root_readwrite'

const FIRST_USER_ID = 22_000_001

/** The caller, and the scopes granted to the application. */
export interface BoxCaller {
  readonly user: string
  readonly scopes: readonly string[]
}

export interface FakeBoxOptions {
  /** Returns the caller of a bearer token, or null if it is invalid. By default only those in `tokens` are valid. */
  readonly authorize?: (bearer: string) => BoxCaller | null
  readonly now?: () => Date
}

/**
 * Box API 2.0 in memory, on real sockets. It checks requests strictly and can fail as scripted. It is based on Box's
 * documentation and on the requests of Box's official client, not on the backend under test.
 */
export class FakeBox extends FakeCloud<BoxError> {
  readonly tree: FakeBoxTree
  readonly knobs: FakeBoxKnobs = newKnobs()
  readonly pages = newBoxPages()
  readonly downloads = new FakeBoxDownloads(this.knobs)
  readonly events: FakeBoxEvents
  readonly writes = new FakeBoxWrites(this.knobs)
  readonly uploads: FakeBoxUploads
  /** Valid for the user `me` with all scopes, unless `authorize` is given. */
  readonly tokens = new Set([FAKE_BOX_TOKEN])
  readonly #authorize: (bearer: string) => BoxCaller | null
  readonly #people = new Map<string, BoxPerson>()
  readonly #handlers: ReturnType<typeof boxHandlers>

  private constructor({ authorize, now = () => new Date() }: FakeBoxOptions) {
    super(['api', 'upload', 'content', 'realtime'])
    this.events = new FakeBoxEvents(this.knobs, now)
    this.tree = new FakeBoxTree(now, this.events)
    this.uploads = new FakeBoxUploads(this.knobs, this.writes, now)
    const me = { user: 'me', scopes: [BOX_WRITE_SCOPE] }
    this.#authorize = authorize ?? ((bearer) => (this.tokens.has(bearer) ? me : null))
    this.#handlers = boxHandlers(this)
  }

  static async start(t: Test, options: FakeBoxOptions = {}): Promise<FakeBox> {
    const fake = new FakeBox(options)
    await fake.listen(t, 'Box')
    return fake
  }

  /** Without a trailing slash; paths begin with `/2.0`. */
  get url(): string {
    return this.originOf('api')
  }

  /** Paths begin with `/api/2.0`. */
  get uploadUrl(): string {
    return this.originOf('upload')
  }

  /** The target of download redirects. */
  get contentUrl(): string {
    return this.originOf('content')
  }

  /** The origin of long polls. */
  get realtimeUrl(): string {
    return this.originOf('realtime')
  }

  /** Resets `times` downloads, each after `afterBytes`. */
  resetDownloads(times: number, afterBytes: number): void {
    this.knobs.downloadResets = { times, afterBytes }
  }

  expireMarkers(): void {
    this.pages.expire()
  }

  expireDownloads(): void {
    this.downloads.expire()
  }

  expireUploadSessions(): void {
    this.uploads.expire()
  }

  protected override isValidToken(bearer: string): boolean {
    return this.#authorize(bearer) !== null
  }

  protected override sendError(response: ServerResponse, error: BoxError): void {
    sendError(response, error)
  }

  protected override route(request: FakeCloudRequest): CloudHandler {
    const route = routeOf(request)
    checkRequestHead(route, request)
    const { authorization, range } = request.headers
    return {
      isTransfer: isTransfer(route),
      send: (response) => {
        const { operation, id } = route
        if (operation === 'content.get') {
          this.downloads.send(id, range, response)
          return
        }
        if (operation === 'realtime.get') {
          this.events.longPoll(request, response)
          return
        }
        const person = this.#authenticate(route, authorization)
        this.#handlers[operation](new BoxCall(route, request, response, this.tree, person))
      }
    }
  }

  #authenticate(route: BoxRoute, authorization: string | undefined): BoxPerson {
    const [, bearer] = /^Bearer (\S+)$/.exec(authorization ?? '') ?? []
    const caller = bearer === undefined ? null : this.#authorize(bearer)
    if (caller === null) throw unauthorized(authorization === undefined)
    const access = accessOf(route)
    const isAuthorized =
      caller.scopes.includes(BOX_WRITE_SCOPE) || (access === 'read' && caller.scopes.includes(BOX_READ_SCOPE))
    if (access !== 'none' && !isAuthorized) throw insufficientScope()
    return this.#personOf(caller.user)
  }

  #personOf(name: string): BoxPerson {
    const existing = this.#people.get(name)
    const id = String(FIRST_USER_ID + this.#people.size)
    const person = existing ?? { type: 'user', id, name, login: `${name}@example.com` }
    this.#people.set(name, person)
    return person
  }
}
