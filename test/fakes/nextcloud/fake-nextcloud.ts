import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { FakeDav, type FakeDavOptions } from '../dav/fake-dav.ts'
import type { DavExtension } from '../dav/extension.ts'
import { DavFailure, DavMistake } from '../dav/failure.ts'
import type { FakeDavRequest } from '../dav/request.ts'
import type { FakeNode, FakeTree } from '../dav/tree.ts'
import { FakeChunkedUploads } from './chunked-uploads.ts'
import { FakeLoginFlows, sendJson, type FakeFlow } from './login-flow.ts'
import { FakePages, PAGING_HEADERS } from './pages.ts'

/** Who signs in. The folder is named after the uid, which is another. */
export const FAKE_NEXTCLOUD_LOGIN = 'alice'
export const FAKE_NEXTCLOUD_UID = 'u-1234'
/** In Nextcloud's shape; good from the beginning. */
export const FAKE_APP_PASSWORD = 'aaaaa-BBBBB-ccccc-DDDDD-12345'

const OWNCLOUD = 'http://owncloud.org/ns'
const NEXTCLOUD = 'http://nextcloud.org/ns'
const INSTANCE = 'ocfake123'
const OCS = '/ocs/v2.php/'
/** What of a request that is not WebDAV may be there. */
const HEADERS = ['host', 'connection', 'authorization', 'user-agent', 'accept', 'accept-encoding', 'ocs-apirequest']
const BODY_HEADERS = ['content-type', 'content-length']

export interface FakeNextcloudOptions extends Pick<FakeDavOptions, 'notFoundFirst' | 'prefix' | 'refusesEarly'> {
  /** Where it is mounted, as `/nextcloud`; empty for the root of its host. */
  readonly mountPath?: string
  /** Whether it pages, as since Nextcloud 31. It does not unless said otherwise. */
  readonly paginate?: boolean
}

/** A Nextcloud as far as we speak to one: files, OCS and Login Flow v2. */
export class FakeNextcloud {
  readonly flows = new FakeLoginFlows(FAKE_NEXTCLOUD_LOGIN)
  readonly uploads = new FakeChunkedUploads()
  /** By path; instead of `RGDNVW` for files and `RGDNVCK` for folders. */
  readonly permissions = new Map<string, string>()
  /** The paths of folders with end-to-end encryption. */
  readonly encrypted = new Set<string>()
  readonly appPasswords = new Set([FAKE_APP_PASSWORD])
  /** Answers everything with 503. */
  maintenance = false
  readonly #pages = new FakePages()
  readonly #mountPath: string
  readonly #paginate: boolean
  #dav: FakeDav | undefined

  private constructor({ mountPath = '', paginate = false }: FakeNextcloudOptions) {
    this.#mountPath = mountPath
    this.#paginate = paginate
  }

  static async start(t: Test, options: FakeNextcloudOptions = {}): Promise<FakeNextcloud> {
    const fake = new FakeNextcloud(options)
    const { mountPath, paginate, ...rules } = options
    fake.#dav = await FakeDav.start(t, {
      ...rules,
      prefix: rules.prefix ?? 'd',
      // sabre answers for a collection with and without a slash.
      collectionSlash: 'serve',
      // With mod_php (Nextcloud 34): of a new file that broke off only one of unknown length stays.
      keepsCut: ({ isNew, hasLength }) => !isNew || !hasLength,
      basePath: `${mountPath ?? ''}/remote.php/dav/files/${FAKE_NEXTCLOUD_UID}/`,
      auth: {
        type: 'basic',
        realm: 'Nextcloud',
        accepts: (username, password) => username === FAKE_NEXTCLOUD_LOGIN && fake.appPasswords.has(password)
      },
      extension: fake.#extension()
    })
    return fake
  }

  /** The files, and what is recorded of every request, also those to OCS. */
  get dav(): FakeDav {
    if (this.#dav === undefined) throw new Error('not started')
    return this.#dav
  }

  get tree(): FakeTree {
    return this.dav.tree
  }

  get mistakes(): string[] {
    return this.dav.mistakes
  }

  /** What a user types, without a slash at its end. */
  get url(): string {
    return this.dav.origin + this.#mountPath
  }

  /** As the user does in the browser; gives the password that the next poll is given. */
  grant(flow: FakeFlow): string {
    const appPassword = randomBytes(36).toString('hex')
    this.appPasswords.add(appPassword)
    this.flows.grant(flow, appPassword)
    return appPassword
  }

  /** Forgets the listings that are being paged through. */
  expireTokens(): void {
    this.#pages.expireTokens()
  }

  #extension(): DavExtension {
    return {
      headers: { PROPFIND: this.#paginate ? PAGING_HEADERS : ['x-nc-paginate', 'x-nc-paginate-count'] },
      features: ['3', 'extended-mkcol', ...(this.#paginate ? ['nc-paginate'] : [])],
      serve: (request, response) => this.#serve(request, response),
      properties: (path, node) => this.#properties(path, node),
      page: (request, response, list) => (this.#paginate ? this.#pages.page(request, response, list) : list()),
      stored
    }
  }

  #serve(request: FakeDavRequest, response: ServerResponse): boolean {
    if (this.maintenance) {
      throw new DavFailure(503, 'System in maintenance mode.', {
        'x-nextcloud-maintenance-mode': '1',
        'retry-after': '120'
      })
    }
    const uploads = `${this.#mountPath}/remote.php/dav/uploads/${FAKE_NEXTCLOUD_UID}/`
    if (request.path.startsWith(uploads) && request.isAuthorized) {
      const { dav, tree } = this
      const hosts = [new URL(dav.origin).host, ...dav.hosts]
      const files = { tree, basePath: dav.rules.basePath, hosts, stored }
      this.uploads.serve(request.path.slice(uploads.length), request, response, files)
      return true
    }
    const isBelow = request.path.startsWith(`${this.#mountPath}/`)
    const path = isBelow ? request.path.slice(this.#mountPath.length) : ''
    if (!path.startsWith('/ocs/') && !path.startsWith('/index.php/')) return false
    const allowed = [...HEADERS, ...(request.method === 'POST' ? BODY_HEADERS : [])]
    const unknown = Object.keys(request.headers).filter((name) => !allowed.includes(name))
    if (unknown.length > 0) throw new DavMistake(400, `the header ${unknown.join()}`)
    if (this.flows.serve(this.url, path, request, response)) return true
    if (!path.startsWith(OCS)) throw new DavMistake(404, 'a route that there is not')
    this.#ocs(path.slice(OCS.length), request, response)
    return true
  }

  #ocs(route: string, request: FakeDavRequest, response: ServerResponse): void {
    const { method, headers, query, isAuthorized } = request
    if (headers['ocs-apirequest'] !== 'true') throw new DavMistake(412, 'OCS without OCS-APIRequest: true')
    // Without it the answer would be XML.
    const isJson = query.toString() === 'format=json'
    const isRevocation = method === 'DELETE' && route === 'core/apppassword'
    if (!isJson && !(isRevocation && query.size === 0)) throw new DavMistake(400, `the query ${query.toString()}`)
    if (!isAuthorized) {
      sendOcs(response, 401, [])
      return
    }
    if (isRevocation) {
      this.appPasswords.delete(passwordOf(headers['authorization']))
      sendOcs(response, 200, [])
    } else if (method === 'GET' && route === 'cloud/user') {
      const quota = { free: 1000, used: 24, total: 1024, relative: 2.34, quota: 1024 }
      sendOcs(response, 200, {
        enabled: true,
        id: FAKE_NEXTCLOUD_UID,
        'display-name': 'Alice Example',
        displayname: 'Alice Example',
        email: 'alice@example.com',
        quota
      })
    } else if (method === 'GET' && route === 'cloud/capabilities') {
      const major = this.#paginate ? 31 : 30
      sendOcs(response, 200, {
        version: { major, minor: 0, micro: 0, string: `${major}.0.0`, edition: '', extendedSupport: false },
        capabilities: { core: { 'webdav-root': 'remote.php/webdav' }, dav: { chunking: '1.0' } }
      })
    } else throw new DavMistake(404, 'an OCS route that there is not')
  }

  *#properties(path: string, node: FakeNode): Iterable<readonly [string, string]> {
    const isFile = node.kind === 'file'
    yield [`${OWNCLOUD} id`, globalId(node)]
    yield [`${OWNCLOUD} fileid`, String(node.id)]
    yield [`${OWNCLOUD} size`, String(this.tree.size(path))]
    yield [`${OWNCLOUD} permissions`, this.permissions.get(path) ?? (isFile ? 'RGDNVW' : 'RGDNVCK')]
    yield [`${OWNCLOUD} owner-id`, FAKE_NEXTCLOUD_UID]
    yield [`${OWNCLOUD} favorite`, '0']
    yield [`${NEXTCLOUD} has-preview`, 'false']
    // Files have none, as in a server without the app.
    if (!isFile) yield [`${NEXTCLOUD} is-encrypted`, this.encrypted.has(path) ? '1' : '0']
  }
}

function stored(response: ServerResponse, node: FakeNode, etag = `"${node.id}-${node.version}"`): void {
  response.setHeader('OC-ETag', etag)
  response.setHeader('OC-FileId', globalId(node))
}

function globalId({ id }: FakeNode): string {
  return String(id).padStart(8, '0') + INSTANCE
}

function passwordOf(authorization: string | undefined): string {
  const decoded = Buffer.from((authorization ?? '').replace(/^Basic /, ''), 'base64').toString()
  return decoded.slice(decoded.indexOf(':') + 1)
}

function sendOcs(response: ServerResponse, status: number, data: unknown): void {
  const meta =
    status === 200
      ? { status: 'ok', statuscode: 200, message: 'OK' }
      : { status: 'failure', statuscode: 997, message: 'Current user is not logged in' }
  sendJson(response, status, { ocs: { meta, data } })
}
