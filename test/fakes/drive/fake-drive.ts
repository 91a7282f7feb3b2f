import type { ServerResponse } from 'node:http'
import { type CloudHandler, FakeCloud, type FakeCloudRequest } from '../fake-cloud.ts'
import type { Lifetime } from '../lifetime.ts'
import { FakeDriveApi } from './api.ts'
import { FakeDriveOperations } from './content.ts'
import { DriveFailure, DriveMistake, sendError, type DriveError } from './failure.ts'
import { FakeDriveJournal } from './journal.ts'
import { newKnobs, type FakeDriveKnobs } from './knobs.ts'
import { newDrivePages } from './reads.ts'
import { checkRequestHead, isTransfer, routeOf, scopesFor, type DriveRoute } from './routes.ts'
import { FakeDriveTree } from './tree.ts'
import { FakeDriveUploads } from './uploads.ts'
import { DRIVE_SCOPE, type DriveCaller } from './view.ts'

export const FAKE_DRIVE_TOKEN = 'ya29.fake-drive-token'

export interface FakeDriveOptions {
  /** Returns the caller of a bearer token, or null if it is invalid. By default only those in `tokens` are valid. */
  readonly authorize?: (bearer: string) => DriveCaller | null
  /** The maximum page length, regardless of the request. */
  readonly pageLimit?: number
  readonly now?: () => Date
}

/**
 * Google Drive v3 in memory, on a real socket. It checks requests strictly and can fail as scripted. It is based on
 * Google's documentation and on the requests of Google's official client, not on the backend under test.
 */
export class FakeDrive extends FakeCloud<DriveError> {
  readonly tree: FakeDriveTree
  readonly knobs: FakeDriveKnobs = newKnobs()
  readonly journal: FakeDriveJournal
  readonly pages = newDrivePages()
  readonly uploads = new FakeDriveUploads(this.knobs)
  readonly renderings = new FakeDriveOperations(this.knobs)
  /** Valid for the user `me` with the scope `drive`, unless `authorize` is given. */
  readonly tokens = new Set([FAKE_DRIVE_TOKEN])
  readonly #authorize: (bearer: string) => DriveCaller | null
  readonly #api: FakeDriveApi

  private constructor({ authorize, pageLimit = Infinity, now = () => new Date() }: FakeDriveOptions) {
    super(['api', 'content'])
    this.journal = new FakeDriveJournal(now, () => this.knobs.changeLagMs)
    this.tree = new FakeDriveTree(now, this.journal)
    this.knobs.pageLimit = pageLimit
    this.#authorize =
      authorize ?? ((bearer) => (this.tokens.has(bearer) ? { user: 'me', scopes: [DRIVE_SCOPE] } : null))
    this.#api = new FakeDriveApi(this)
  }

  static async start(t: Lifetime, options: FakeDriveOptions = {}): Promise<FakeDrive> {
    const fake = new FakeDrive(options)
    await fake.listen(t, 'Drive')
    return fake
  }

  /** Without a trailing slash. */
  get url(): string {
    return this.origin
  }

  /** Resets `times` downloads or exports, each after `afterBytes`. */
  resetDownloads(times: number, afterBytes: number): void {
    this.knobs.downloadResets = { times, afterBytes }
  }

  expirePageTokens(): void {
    this.pages.expire()
  }

  expireUploadSessions(): void {
    this.uploads.expire()
  }

  protected override isValidToken(bearer: string): boolean {
    return this.#authorize(bearer) !== null
  }

  protected override sendError(response: ServerResponse, error: DriveError): void {
    sendError(response, error)
  }

  protected override route(request: FakeCloudRequest): CloudHandler {
    const route = routeOf(request)
    if ((request.host === 'content') !== (route.operation === 'rendered.get')) {
      throw new DriveMistake(`the host ${request.host}`)
    }
    checkRequestHead(route, request)
    const { authorization } = request.headers
    return {
      isTransfer: isTransfer(route),
      ...(route.operation === 'upload.put' && {
        storePartial: (body) => {
          this.uploads.storePartial(request, body)
        }
      }),
      send: (response) => {
        this.#api.handle(route, request, response, this.#authenticate(route, authorization))
      }
    }
  }

  #callerOf(authorization: string | undefined): DriveCaller | null {
    const [, bearer] = /^Bearer (\S+)$/.exec(authorization ?? '') ?? []
    return bearer === undefined ? null : this.#authorize(bearer)
  }

  #authenticate(route: DriveRoute, authorization: string | undefined): DriveCaller | null {
    const caller = this.#callerOf(authorization)
    const scopes = scopesFor(route)
    // A session URI is itself a secret, but a token sent with it must be valid.
    if (scopes.length === 0 && authorization === undefined) return null
    const challenge = 'Bearer realm="https://accounts.google.com/"'
    if (caller === null) {
      const error = authorization === undefined ? '' : ', error="invalid_token"'
      throw new DriveFailure({
        reason: 'authError',
        location: 'Authorization',
        locationType: 'header',
        headers: { 'www-authenticate': challenge + error }
      })
    }
    if (scopes.length > 0 && !scopes.some((scope) => caller.scopes.includes(scope))) {
      const headers = { 'www-authenticate': `${challenge}, error="insufficient_scope", scope="${scopes.join(' ')}"` }
      throw new DriveFailure({ reason: 'insufficientPermissions', headers })
    }
    return caller
  }
}
