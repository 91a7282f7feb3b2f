import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { FakeDav, type FakeDavOptions } from '../dav/fake-dav.ts'
import type { DavExtension } from '../dav/extension.ts'
import { DavFailure, DavMistake } from '../dav/failure.ts'
import { resolvePath, type FakeDavRequest } from '../dav/request.ts'
import { parentOf, type FakeNode, type FakeTree } from '../dav/tree.ts'
import { escapeXml } from '../dav/xml.ts'
import { FakeChunkedUploads } from './chunked-uploads.ts'
import { sendJson } from '../fake-server.ts'
import { FakeNotifyPush } from './notify-push.ts'
import { FakeLoginFlows, type FakeFlow } from './login-flow.ts'

/** The login name. The user's folder is named after the user ID, which differs. */
export const FAKE_NEXTCLOUD_LOGIN = 'alice'
export const FAKE_NEXTCLOUD_UID = 'u-1234'
/** An app password in Nextcloud's format, valid from the start. */
export const FAKE_APP_PASSWORD = 'aaaaa-BBBBB-ccccc-DDDDD-12345'

const OWNCLOUD = 'http://owncloud.org/ns'
const NEXTCLOUD = 'http://nextcloud.org/ns'
const INSTANCE_ID = 'ocfake123'
const OCS = '/ocs/v2.php/'
const SABRE_EXCEPTION = 'OCA\\DAV\\Connector\\Sabre\\Exception\\'
/** Headers that non-WebDAV requests may have. */
const HEADERS = ['host', 'connection', 'authorization', 'user-agent', 'accept', 'accept-encoding', 'ocs-apirequest']
const BODY_HEADERS = ['content-type', 'content-length']

export interface FakeNextcloudOptions extends Pick<FakeDavOptions, 'notFoundFirst' | 'prefix' | 'rejectsEarly'> {
  /** The mount path, such as `/nextcloud`; empty for the root of its host. */
  readonly mountPath?: string
}

/** The parts of Nextcloud that the backend uses: files, OCS and Login Flow v2. */
export class FakeNextcloud {
  readonly flows = new FakeLoginFlows(FAKE_NEXTCLOUD_LOGIN)
  readonly uploads = new FakeChunkedUploads()
  /** Permissions by path; the defaults are `RGDNVW` for files and `RGDNVCK` for folders. */
  readonly permissions = new Map<string, string>()
  /** The paths of folders with end-to-end encryption. */
  readonly encrypted = new Set<string>()
  readonly appPasswords = new Set([FAKE_APP_PASSWORD])
  /** Checksums by path, as uploaded by clients: `SHA1:… MD5:…`. */
  readonly checksums = new Map<string, string>()
  /** The attributes of shares by path, as JSON. */
  readonly shareAttributes = new Map<string, string>()
  /** The paths of favourites. Like permissions and attributes, they leave no trace in ETags. */
  readonly favorites = new Set<string>()
  /** The types of mounts by path: `external`, `external-session`, `group`, `shared`, or those of other apps. */
  readonly mounts = new Map<string, string>()
  /** The paths of those mounts of type `shared` that are on another server. */
  readonly federated = new Set<string>()
  /** Whether the server has the properties `mount-type` and `is-federated`. */
  hasMountProperties = true
  /** Responds to all requests with 503. */
  maintenance = false
  /** The account is disabled: WebDAV responds with 503, and OCS with 401. */
  disabled = false
  /** The remaining storage in bytes. */
  freeBytes = Infinity
  /** After ten of them, all requests get 429 for half an hour, even with the right password. */
  failedLogins = 0
  /** The app `notify_push`, which is not installed at first. */
  readonly push = new FakeNotifyPush((username, password) => this.#accepts(username, password))
  readonly #mountPath: string
  /** Folders that were changed on their storage, and not opened since. */
  readonly #unnoticed = new Set<string>()
  #dav: FakeDav | undefined

  private constructor({ mountPath = '' }: FakeNextcloudOptions) {
    this.#mountPath = mountPath
  }

  static async start(t: Test, options: FakeNextcloudOptions = {}): Promise<FakeNextcloud> {
    const fake = new FakeNextcloud(options)
    const { mountPath, ...rules } = options
    fake.#dav = await FakeDav.start(t, {
      ...rules,
      prefix: rules.prefix ?? 'd',
      // sabre serves a collection with and without a trailing slash.
      collectionSlash: 'serve',
      // With mod_php (Nextcloud 34), an interrupted new file stays only if its length was unknown.
      keepsPartialUpload: ({ isNew, hasLength }) => !isNew || !hasLength,
      normalizes: true,
      basePath: `${mountPath ?? ''}/remote.php/dav/files/${FAKE_NEXTCLOUD_UID}/`,
      auth: {
        type: 'basic',
        realm: 'Nextcloud',
        accepts: (username, password) => fake.#accepts(username, password)
      },
      extension: fake.#extension()
    })
    fake.push.attach(fake.dav, mountPath ?? '')
    return fake
  }

  /** The WebDAV server, which also records OCS requests. */
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

  /** The address that a user enters, without a trailing slash. */
  get url(): string {
    return this.dav.origin + this.#mountPath
  }

  /** Simulates the user's consent in the browser. Returns the password for the next poll. */
  grant(flow: FakeFlow): string {
    const appPassword = randomBytes(36).toString('hex')
    this.appPasswords.add(appPassword)
    this.flows.grant(flow, appPassword)
    return appPassword
  }

  /**
   * Changes a folder of an external storage, or of a federated share, without Nextcloud. Listings show the change at
   * once. No ETag changes until a client opens this folder, and Nextcloud compares it with its database.
   */
  changeOutside(folder: string, change: (tree: FakeTree) => void): void {
    const { tree } = this
    const collections = [folder, ...ancestorsOf(folder)].map((path) => [path, tree.get(path)] as const)
    change(tree)
    for (const [path, node] of collections) tree.restore(path, node)
    this.#unnoticed.add(folder)
  }

  #accepts(username: string, password: string): boolean {
    if (username === FAKE_NEXTCLOUD_LOGIN && this.appPasswords.has(password)) return true
    this.failedLogins++
    return false
  }

  #extension(): DavExtension {
    return {
      // No X-NC-Paginate headers: without a memory cache, Nextcloud loses the second page.
      headers: {},
      features: ['3', 'extended-mkcol', 'nc-paginate'],
      serve: (request, response) => this.#handle(request, response),
      properties: (path, node, isMember) => this.#properties(path, node, isMember),
      stored: setFileHeaders
    }
  }

  #handle(request: FakeDavRequest, response: ServerResponse): boolean {
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
      const files = { tree, basePath: dav.rules.basePath, hosts, stored: setFileHeaders }
      this.uploads.serve(request.path.slice(uploads.length), request, response, files)
      return true
    }
    // The brute-force protection counts by client address, and sends no Retry-After.
    if (this.failedLogins >= 10) throw davFailure(429, `${SABRE_EXCEPTION}TooManyRequests`, 'Too many requests')
    const isMounted = request.path.startsWith(`${this.#mountPath}/`)
    const path = isMounted ? request.path.slice(this.#mountPath.length) : ''
    if (path.startsWith('/remote.php/')) {
      const isRefused = this.#checkDavRules(path, request)
      if (request.method === 'PROPFIND') this.#notice(request)
      return isRefused
    }
    if (!path.startsWith('/ocs/') && !path.startsWith('/index.php/')) return false
    const allowed = [...HEADERS, ...(request.method === 'POST' ? BODY_HEADERS : [])]
    const unknown = Object.keys(request.headers).filter((name) => !allowed.includes(name))
    if (unknown.length > 0) throw new DavMistake(400, `the header ${unknown.join()}`)
    if (this.flows.serve(this.url, path, request, response)) return true
    if (!path.startsWith(OCS)) throw new DavMistake(404, 'a route that there is not')
    this.#handleOcs(path.slice(OCS.length), request, response)
    return true
  }

  /** Refusals of Nextcloud beyond WebDAV, with its own statuses (34.0.1). */
  #checkDavRules(path: string, { method, headers, body, isAuthorized }: FakeDavRequest): boolean {
    if (!isAuthorized) return false
    if (this.disabled) {
      throw davFailure(503, 'Sabre\\DAV\\Exception\\ServiceUnavailable', 'OC\\User\\LoginException: Account disabled')
    }
    const [, user = ''] = /^\/remote\.php\/dav\/files\/([^/]*)\//.exec(path) ?? []
    if (user !== FAKE_NEXTCLOUD_UID && path.startsWith('/remote.php/dav/files/')) {
      throw davFailure(404, 'Sabre\\DAV\\Exception\\NotFound', `Principal with name ${user} not found`)
    }
    const createsNode = method === 'PUT' || method === 'MKCOL'
    if (createsNode && /\/\.htaccess\/?$/i.test(path)) throw davFailure(500, 'Sabre\\DAV\\Exception\\Forbidden', '')
    if (method === 'PUT' && (body?.length ?? 0) > this.freeBytes) {
      if (headers['content-length'] === undefined)
        throw davFailure(413, `${SABRE_EXCEPTION}EntityTooLarge`, 'Too large')
      throw davFailure(507, 'Sabre\\DAV\\Exception\\InsufficientStorage', 'Insufficient space')
    }
    return false
  }

  /** Notices changes outside of Nextcloud in a folder that is opened. */
  #notice({ path, isAuthorized }: FakeDavRequest): void {
    const { basePath } = this.dav.rules
    if (!isAuthorized || !path.startsWith(basePath)) return
    const folder = resolvePath(path, basePath).path
    if (this.#unnoticed.delete(folder)) this.tree.touch(folder)
  }

  #handleOcs(route: string, request: FakeDavRequest, response: ServerResponse): void {
    const { method, headers, query, isAuthorized } = request
    if (headers['ocs-apirequest'] !== 'true') throw new DavMistake(412, 'OCS without OCS-APIRequest: true')
    // Otherwise the response would be XML.
    const isJson = query.toString() === 'format=json'
    const isRevocation = method === 'DELETE' && route === 'core/apppassword'
    if (!isJson && !(isRevocation && query.size === 0)) throw new DavMistake(400, `the query ${query.toString()}`)
    if (!isAuthorized || this.disabled) {
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
      sendOcs(response, 200, {
        version: { major: 34, minor: 0, micro: 1, string: '34.0.1', edition: '', extendedSupport: false },
        capabilities: {
          core: { 'webdav-root': 'remote.php/webdav' },
          dav: { chunking: '1.0' },
          ...this.push.capability(this.url)
        }
      })
    } else throw new DavMistake(404, 'an OCS route that there is not')
  }

  *#properties(path: string, node: FakeNode, isMember: boolean): Iterable<readonly [string, string]> {
    const isFile = node.kind === 'file'
    const mount = [path, ...ancestorsOf(path)].find((ancestor) => this.mounts.has(ancestor))
    const mountType = this.mounts.get(mount ?? '') ?? ''
    const letter = mount === undefined ? '' : mountType === 'shared' ? 'S' : 'M'
    const hasMounts = [...this.mounts.keys()].some((other) => other === path || other.startsWith(`${path}/`))
    // Folders that one change has reached have one ETag. In the listing of its parent, a folder with mounts has another:
    // it is computed from other permissions of the mounts (33.0.5).
    if (!isFile) yield ['DAV: getetag', escapeXml(`"${node.version}${isMember && hasMounts ? '-member' : ''}"`)]
    // Clients that upload without a creation time leave it unknown.
    yield ['DAV: creationdate', '1970-01-01T00:00:00Z']
    yield [`${OWNCLOUD} id`, globalId(node)]
    yield [`${OWNCLOUD} fileid`, String(node.id)]
    yield [`${OWNCLOUD} size`, String(this.tree.size(path))]
    yield [`${OWNCLOUD} permissions`, this.permissions.get(path) ?? letter + (isFile ? 'RGDNVW' : 'RGDNVCK')]
    yield [`${OWNCLOUD} owner-id`, FAKE_NEXTCLOUD_UID]
    yield [`${OWNCLOUD} favorite`, this.favorites.has(path) ? '1' : '0']
    yield [`${NEXTCLOUD} has-preview`, 'false']
    if (this.hasMountProperties) {
      yield [`${NEXTCLOUD} mount-type`, mountType]
      yield [`${NEXTCLOUD} is-federated`, mount !== undefined && this.federated.has(mount) ? '1' : '']
    }
    const checksums = this.checksums.get(path)
    if (checksums !== undefined) {
      const xml = `<x:checksum xmlns:x="${OWNCLOUD}">${checksums}</x:checksum>`
      yield [`${OWNCLOUD} checksums`, xml]
    }
    yield [`${NEXTCLOUD} share-attributes`, escapeXml(this.shareAttributes.get(path) ?? '[]')]
    // Files have none, as on a server without the app.
    if (!isFile) yield [`${NEXTCLOUD} is-encrypted`, this.encrypted.has(path) ? '1' : '0']
  }
}

function setFileHeaders(response: ServerResponse, node: FakeNode, etag = `"${node.id}-${node.version}"`): void {
  response.setHeader('OC-ETag', etag)
  response.setHeader('OC-FileId', globalId(node))
}

/** Returns the paths above a path, up to the root. */
function ancestorsOf(path: string): string[] {
  const parent = parentOf(path)
  return path === '' ? [] : [parent, ...ancestorsOf(parent)]
}

function davFailure(status: number, exception: string, message: string): DavFailure {
  return new DavFailure(status, message, {}, undefined, exception)
}

function globalId({ id }: FakeNode): string {
  return String(id).padStart(8, '0') + INSTANCE_ID
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
