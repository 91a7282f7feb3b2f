import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { FakeServer } from './fake-server.ts'
import type { DavFault } from './dav-faults.ts'
import type { FakeDavRequest } from './fake-dav-request.ts'
import { FakeDriveApi } from './fake-drive-api.ts'
import { DriveFailure, DriveMistake, sendError, type DriveError } from './fake-drive-failure.ts'
import { FakeDriveFaults, type FailureLimits } from './fake-drive-faults.ts'
import { newKnobs, type FakeDriveKnobs } from './fake-drive-knobs.ts'
import { FakeDrivePages } from './fake-drive-pages.ts'
import { checkHead, isTransfer, routeOf, scopesFor, type DriveRoute } from './fake-drive-routes.ts'
import { FakeDriveTree } from './fake-drive-tree.ts'
import { FakeDriveUploads } from './fake-drive-uploads.ts'
import { DRIVE_SCOPE, type DriveCaller } from './fake-drive-view.ts'

export const FAKE_DRIVE_TOKEN = 'ya29.fake-drive-token'

export interface FakeDriveOptions {
  /** Whose a bearer token is; null for one that is not good. By itself, that of `tokens` is. */
  readonly authorize?: (bearer: string) => DriveCaller | null
  /** No page is longer, whatever is asked. */
  readonly pageLimit?: number
  readonly now?: () => Date
}

/**
 * Google Drive v3 on a real socket, in memory: strict in what it is asked, and able to fail as a test scripts it. It is
 * made from what Google documents and from what its official client sends, not from our backend.
 */
export class FakeDrive extends FakeServer {
  readonly tree: FakeDriveTree
  readonly knobs: FakeDriveKnobs = newKnobs()
  readonly pages = new FakeDrivePages()
  readonly uploads = new FakeDriveUploads(this.knobs)
  /** Good for the user `me` with the scope `drive`, unless `authorize` says otherwise. */
  readonly tokens = new Set([FAKE_DRIVE_TOKEN])
  readonly requests: FakeDavRequest[] = []
  readonly #authorize: (bearer: string) => DriveCaller | null
  readonly #faults = new FakeDriveFaults()
  readonly #transfers = new Set<ServerResponse>()
  readonly #api: FakeDriveApi

  private constructor({ authorize, pageLimit = Infinity, now = () => new Date() }: FakeDriveOptions) {
    super()
    this.tree = new FakeDriveTree(now)
    this.pages.limit = pageLimit
    this.#authorize =
      authorize ?? ((bearer) => (this.tokens.has(bearer) ? { user: 'me', scopes: [DRIVE_SCOPE] } : null))
    this.#api = new FakeDriveApi(this)
  }

  static async start(t: Test, options: FakeDriveOptions = {}): Promise<FakeDrive> {
    const fake = new FakeDrive(options)
    await fake.listen(t, 'Drive')
    return fake
  }

  /** Without a slash at its end. */
  get url(): string {
    return this.origin
  }

  /** How many downloads and uploads are unfinished on sockets that are open. */
  busy(): number {
    return this.#transfers.size
  }

  /** `GET /drive/v3/files` and so on, in the order in which they came. */
  operations(): string[] {
    return this.requests.map(({ method, path }) => `${method} ${path}`)
  }

  /** Has the next requests fail, of those which the limits mean. */
  failNext(times: number, fault: DriveError | DavFault, limits: FailureLimits = {}): void {
    this.#faults.add(times, fault, limits)
  }

  /** So many downloads or exports are reset, each after so many bytes. */
  resetDownloads(times: number, afterBytes: number): void {
    this.knobs.cutDownloads = { times, afterBytes }
  }

  expirePageTokens(): void {
    this.pages.expire()
  }

  expireUploadSessions(): void {
    this.uploads.expire()
  }

  protected override async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {})
    const { method = '', headers, url: target = '' } = message
    const [path = '', search = ''] = target.split('?')
    const caller = this.#callerOf(headers.authorization)
    const request: FakeDavRequest = {
      method,
      path,
      query: new URLSearchParams(search),
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value?.toString()])),
      isAuthorized: caller !== null,
      body: undefined
    }
    this.requests.push(request)
    const route = routed(request)
    if (!(route instanceof DriveFailure) && isTransfer(route)) {
      this.#transfers.add(response)
      response.once('close', () => this.#transfers.delete(response))
    }
    const note = (mistake: DriveMistake) => this.mistakes.push(`${method} ${target}: ${mistake.what}`)
    if (route instanceof DriveMistake) note(route)
    try {
      if (this.#faults.strike(true, request, response)) return
      const { body, isWhole } = await bodyOf(message)
      if (!isWhole) {
        if (!(route instanceof DriveFailure) && route.operation === 'upload.put') this.uploads.keep(request, body)
        return
      }
      request.body = body
      if (this.#faults.strike(false, request, response)) return
      if (route instanceof DriveFailure) throw route
      this.#api.answer(route, request, response, this.#allowed(route, headers.authorization, caller))
    } catch (error) {
      if (!(error instanceof DriveFailure)) {
        this.mistakes.push(`${method} ${target}: the fake broke: ${String(error)}`)
        message.socket.destroy()
        return
      }
      if (error instanceof DriveMistake && error !== route) note(error)
      sendError(response, error.error)
    }
  }

  #callerOf(authorization: string | undefined): DriveCaller | null {
    const [, bearer] = /^Bearer (\S+)$/.exec(authorization ?? '') ?? []
    return bearer === undefined ? null : this.#authorize(bearer)
  }

  #allowed(route: DriveRoute, authorization: string | undefined, caller: DriveCaller | null): DriveCaller | null {
    const scopes = scopesFor(route)
    // A session URI is a secret by itself; but a token that comes with it has to be good.
    if (scopes.length === 0 && authorization === undefined) return null
    const realm = 'Bearer realm="https://accounts.google.com/"'
    if (caller === null) {
      const error = authorization === undefined ? '' : ', error="invalid_token"'
      throw new DriveFailure({
        reason: 'authError',
        location: 'Authorization',
        locationType: 'header',
        headers: { 'www-authenticate': realm + error }
      })
    }
    if (scopes.length > 0 && !scopes.some((scope) => caller.scopes.includes(scope))) {
      const headers = { 'www-authenticate': `${realm}, error="insufficient_scope", scope="${scopes.join(' ')}"` }
      throw new DriveFailure({ reason: 'insufficientPermissions', headers })
    }
    return caller
  }
}

function routed(request: FakeDavRequest): DriveRoute | DriveFailure {
  try {
    const route = routeOf(request)
    checkHead(route, request)
    return route
  } catch (error) {
    if (error instanceof DriveFailure) return error
    throw error
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
