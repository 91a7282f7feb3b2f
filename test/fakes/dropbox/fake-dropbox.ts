import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { type CloudHandler, FakeCloud, type FakeCloudRequest } from '../fake-cloud.ts'
import { FakeDropboxApi } from './api.ts'
import { DropboxCall, type DropboxCaller } from './call.ts'
import { authError, DropboxFailure, missingScope, rateLimited, sendError, type DropboxError } from './failure.ts'
import { parseHead, type DropboxHead } from './head.ts'
import { newKnobs, type FakeDropboxKnobs } from './knobs.ts'
import { FakeDropboxLinks } from './links.ts'
import { FakeDropboxListings } from './listings.ts'
import { answerDropboxLongpoll } from './longpoll.ts'
import { FakeDropboxRoots } from './roots.ts'
import { ROUTES, type DropboxOperation } from './routes.ts'
import { FakeDropboxTree } from './tree.ts'
import { FakeDropboxUploads } from './uploads.ts'
import { DropboxView } from './view.ts'
import { FakeDropboxWrites } from './writes.ts'

export const FAKE_DROPBOX_TOKEN = 'sl.fake-dropbox-token'

const EXCLUSIVE_OPERATIONS: ReadonlySet<DropboxOperation> = new Set<DropboxOperation>([
  'files/list_folder',
  'files/list_folder/continue'
])
const ALL_SCOPES = Object.values(ROUTES).flatMap(({ scope }) => scope ?? [])

export interface FakeDropboxOptions {
  /** Returns the caller of a bearer token, or null if it is invalid. By default only those in `tokens` are valid. */
  readonly authorize?: (bearer: string) => DropboxCaller | null
  /** Called when a token was revoked. */
  readonly onRevoke?: (bearer: string) => void
  /** Whether the user is in a team, with a team space around the user's own folder. */
  readonly team?: boolean
  readonly now?: () => Date
}

/**
 * Dropbox API v2 in memory, on real sockets. It checks requests strictly and can fail as scripted. It is based on
 * Dropbox's documentation and on the requests of Dropbox's official client, not on the backend under test.
 */
export class FakeDropbox extends FakeCloud<DropboxError> {
  readonly tree: FakeDropboxTree
  readonly knobs: FakeDropboxKnobs
  readonly uploads: FakeDropboxUploads
  /** Valid for the user `me` with all scopes, unless `authorize` is given. */
  readonly tokens = new Set([FAKE_DROPBOX_TOKEN])
  readonly #revoked = new Set<string>()
  /** The listing calls in progress, by operation, token and arguments. */
  readonly #listingCalls = new Map<string, ServerResponse>()
  readonly #authorize: (bearer: string) => DropboxCaller | null
  readonly #listings: FakeDropboxListings
  readonly #links: FakeDropboxLinks
  readonly #roots: FakeDropboxRoots
  readonly #api: FakeDropboxApi

  private constructor({ authorize, onRevoke, team = false, now = () => new Date() }: FakeDropboxOptions) {
    super(['api', 'content', 'links', 'notify'])
    this.tree = new FakeDropboxTree(now, team)
    this.knobs = newKnobs(team)
    this.#authorize = authorize ?? ((bearer) => (this.tokens.has(bearer) ? { user: 'me', scopes: ALL_SCOPES } : null))
    this.#listings = new FakeDropboxListings(this.knobs, now)
    this.#links = new FakeDropboxLinks(this.knobs, now, () => this.originOf('links'))
    this.#roots = new FakeDropboxRoots(this.tree, this.knobs)
    const writes = new FakeDropboxWrites(this.knobs)
    this.uploads = new FakeDropboxUploads(this.knobs, writes, now)
    this.#api = new FakeDropboxApi({
      ...{ tree: this.tree, knobs: this.knobs, uploads: this.uploads, writes },
      ...{ roots: this.#roots, listings: this.#listings, links: this.#links },
      revoke: ({ request }) => {
        const bearer = bearerOf(request) ?? ''
        this.tokens.delete(bearer)
        this.#revoked.add(bearer)
        onRevoke?.(bearer)
      }
    })
  }

  static async start(t: Test, options: FakeDropboxOptions = {}): Promise<FakeDropbox> {
    const fake = new FakeDropbox(options)
    await fake.listen(t, 'Dropbox')
    return fake
  }

  /** The origin of calls without content. Without a trailing slash. */
  get url(): string {
    return this.originOf('api')
  }

  /** The origin of uploads and downloads. Without a trailing slash. */
  get contentUrl(): string {
    return this.originOf('content')
  }

  /** Resets `times` downloads, each after `afterBytes`. */
  resetDownloads(times: number, afterBytes: number): void {
    this.knobs.downloadResets = { times, afterBytes }
  }

  resetCursors(): void {
    this.#listings.reset()
  }

  expireUploadSessions(): void {
    this.uploads.expire()
  }

  /** Simulates a change of team: the ID of the root changes. */
  moveRoot(): void {
    this.tree.moveRoot()
  }

  protected override isValidToken(bearer: string): boolean {
    return !this.#revoked.has(bearer) && this.#authorize(bearer) !== null
  }

  protected override sendError(response: ServerResponse, error: DropboxError): void {
    sendError(response, error)
  }

  protected override async serve(message: IncomingMessage, response: ServerResponse, host: string): Promise<void> {
    response.setHeader('x-dropbox-request-id', randomBytes(16).toString('hex'))
    await super.serve(message, response, host)
  }

  protected override route(request: FakeCloudRequest): CloudHandler {
    if (request.host === 'links') {
      this.#links.check(request)
      return {
        isTransfer: true,
        send: (response) => {
          this.#links.send(request, response)
        }
      }
    }
    if (request.host === 'notify') {
      return {
        send: (response) => {
          answerDropboxLongpoll(request, response, { tree: this.tree, listings: this.#listings, knobs: this.knobs })
        }
      }
    }
    const parsedHead = parseHead(request)
    return {
      isTransfer: parsedHead.route.style !== 'rpc',
      accept: (response) => {
        if (EXCLUSIVE_OPERATIONS.has(parsedHead.operation)) this.#refuseEqualCall(request, response)
      },
      send: (response) => {
        const caller = this.#authenticate(parsedHead, request)
        const base = this.#roots.base(request.headers['dropbox-api-path-root'], parsedHead.operation)
        this.#api.handle(new DropboxCall(parsedHead, request, response, caller, new DropboxView(this.tree, base)))
      }
    }
  }

  /** Dropbox may refuse a call while an equal one is in progress (its specification, at `list_folder`). */
  #refuseEqualCall({ path, headers, body }: FakeCloudRequest, response: ServerResponse): void {
    const key = JSON.stringify([path, headers['authorization'], body?.toString()])
    if (this.#listingCalls.has(key)) throw new DropboxFailure(rateLimited(1))
    this.#listingCalls.set(key, response)
    const onEnd = () => {
      if (this.#listingCalls.get(key) === response) this.#listingCalls.delete(key)
    }
    // `close` alone might come after the client's next call.
    response.once('finish', onEnd).once('close', onEnd)
  }

  #authenticate({ operation, route: { scope } }: DropboxHead, request: FakeCloudRequest): DropboxCaller {
    const { authorization } = request.headers
    const bearer = bearerOf(request)
    if (bearer === undefined) {
      const reason =
        authorization === undefined
          ? 'Must provide HTTP header "Authorization" or URL parameter "authorization".'
          : 'Invalid authorization value in HTTP header "Authorization".'
      throw new DropboxFailure({ status: 400, error: `Error in call to API function "${operation}": ${reason}` })
    }
    const caller = this.isValidToken(bearer) ? this.#authorize(bearer) : null
    if (caller === null) {
      throw new DropboxFailure(
        authError(this.#revoked.has(bearer) ? 'invalid_access_token' : this.knobs.invalidTokenError)
      )
    }
    if (scope !== null && !caller.scopes.includes(scope)) throw new DropboxFailure(missingScope(scope))
    return caller
  }
}

function bearerOf({ headers }: FakeCloudRequest): string | undefined {
  return /^Bearer (\S+)$/.exec(headers['authorization'] ?? '')?.[1]
}
