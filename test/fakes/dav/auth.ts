import { createHash, randomBytes } from 'node:crypto'
import { DavFailure, DavMistake } from './failure.ts'

export const FAKE_DAV_USER = 'fake-user'
/** Contains a colon, which separates user and password, and a non-ASCII letter, which must be sent as UTF-8. */
export const FAKE_DAV_PASSWORD = 'fake: pässword'
export const FAKE_DAV_TOKEN = 'fake-token'

export type DigestAlgorithm = 'MD5' | 'MD5-sess' | 'SHA-256' | 'SHA-256-sess'

export type FakeDavAuth =
  | { readonly type: 'none' }
  | { readonly type: 'bearer' }
  | {
      readonly type: 'basic'
      readonly realm?: string
      /** Replaces the check for FAKE_DAV_USER and FAKE_DAV_PASSWORD. */
      readonly accepts?: (username: string, password: string) => boolean
    }
  | {
      readonly type: 'digest'
      /** The offered algorithms, the preferred one first. Default `MD5` only. */
      readonly algorithms?: readonly DigestAlgorithm[]
      /** The number of requests for which a nonce is valid. */
      readonly nonceUses?: number
      /** `any`: counts may arrive out of order from several sockets. A count may never repeat. */
      readonly ncOrder?: 'rising' | 'any'
    }

/** The parts of a request that the credentials cover. */
export interface SignedRequest {
  readonly method: string
  /** Includes the query. */
  readonly target: string
  readonly authorization: string | undefined
}

/** Checks credentials. Returns the error response if they are invalid. */
export interface Authenticator {
  check(request: SignedRequest): DavFailure | undefined
}

export function authenticator(auth: FakeDavAuth): Authenticator {
  if (auth.type === 'none') return { check: () => undefined }
  if (auth.type === 'digest') return new DigestAuthenticator(auth)
  if (auth.type === 'bearer') return { check: checkBearer }
  const { realm = 'fake', accepts = isFakeUser } = auth
  const unauthorized = () =>
    new DavFailure(401, 'Refused', { 'www-authenticate': `Basic realm="${realm}", charset="UTF-8"` })
  return {
    check({ authorization }) {
      if (authorization === undefined) return unauthorized()
      const encoded = /^Basic ([A-Za-z0-9+/]+={0,2})$/.exec(authorization)?.[1]
      if (encoded === undefined) return new DavMistake(401, 'credentials that are not Basic', unauthorized().headers)
      const [username = '', ...rest] = Buffer.from(encoded, 'base64').toString().split(':')
      return accepts(username, rest.join(':')) ? undefined : unauthorized()
    }
  }
}

function isFakeUser(username: string, password: string): boolean {
  return username === FAKE_DAV_USER && password === FAKE_DAV_PASSWORD
}

function checkBearer({ authorization }: SignedRequest): DavFailure | undefined {
  if (authorization === `Bearer ${FAKE_DAV_TOKEN}`) return undefined
  const headers = { 'www-authenticate': 'Bearer realm="fake"' }
  if (authorization === undefined || authorization.startsWith('Bearer ')) return new DavFailure(401, 'Refused', headers)
  return new DavMistake(401, 'credentials that are not Bearer', headers)
}

interface Nonce {
  uses: number
  readonly counts: Set<number>
  /** The first client nonce, which is part of the session key for the lifetime of the nonce. */
  readonly sessionCnonce: string
}

/** Contains a comma, which separates challenges unless it is quoted. */
const REALM = 'fake realm, Basic'
const QUOTED = ['username', 'realm', 'nonce', 'uri', 'response', 'cnonce', 'opaque'] as const
const UNQUOTED = ['algorithm', 'qop', 'nc'] as const
type Field = (typeof QUOTED)[number] | (typeof UNQUOTED)[number]

/** RFC 7616 with `qop=auth`. */
class DigestAuthenticator implements Authenticator {
  readonly #algorithms: readonly DigestAlgorithm[]
  readonly #nonceUses: number
  readonly #requiresRisingCounts: boolean
  readonly #opaque = randomBytes(8).toString('hex')
  readonly #issued = new Set<string>()
  readonly #nonces = new Map<string, Nonce>()

  constructor({
    algorithms = ['MD5'],
    nonceUses = Infinity,
    ncOrder = 'rising'
  }: Extract<FakeDavAuth, { type: 'digest' }>) {
    this.#algorithms = algorithms
    this.#nonceUses = nonceUses
    this.#requiresRisingCounts = ncOrder === 'rising'
  }

  check({ method, target, authorization }: SignedRequest): DavFailure | undefined {
    if (authorization === undefined) return this.#unauthorized(false)
    if (!authorization.startsWith('Digest ')) return this.#mistake('credentials that are not Digest')
    const fields = parseFields(authorization.slice('Digest '.length))
    if (fields === undefined) return this.#mistake(`credentials that RFC 7616 does not allow: ${authorization}`)
    const algorithm = this.#algorithms.find((offered) => offered === fields.algorithm)
    for (const [isWrong, mistake] of [
      [algorithm === undefined, `the algorithm ${fields.algorithm}`],
      [fields.qop !== 'auth', `the qop ${fields.qop}`],
      [fields.realm !== REALM, `the realm ${fields.realm}`],
      [fields.opaque !== this.#opaque, 'another opaque'],
      [fields.uri !== target, `the uri ${fields.uri} for ${target}`],
      [!/^[0-9a-f]{8}$/.test(fields.nc) || fields.nc === '00000000', `the nc ${fields.nc}`],
      [fields.cnonce.length < 8, 'a cnonce that can be guessed']
    ] as const) {
      if (isWrong) return this.#mistake(mistake)
    }
    const nonce = this.#nonces.get(fields.nonce) ?? { uses: 0, counts: new Set(), sessionCnonce: fields.cnonce }
    if (fields.response !== expectedResponse(method, fields, nonce.sessionCnonce)) return this.#unauthorized(false)
    // The response was right, so the client knows the password: only the nonce is stale.
    if (!this.#issued.has(fields.nonce) || nonce.uses >= this.#nonceUses) return this.#unauthorized(true)
    const count = Number.parseInt(fields.nc, 16)
    if (nonce.counts.has(count)) return this.#mistake(`the nc ${fields.nc} once more`)
    if (this.#requiresRisingCounts && count < Math.max(0, ...nonce.counts)) return this.#unauthorized(true)
    nonce.uses++
    nonce.counts.add(count)
    this.#nonces.set(fields.nonce, nonce)
    return undefined
  }

  #mistake(mistake: string): DavMistake {
    return new DavMistake(401, mistake, this.#unauthorized(false).headers)
  }

  #unauthorized(isStale: boolean): DavFailure {
    const nonce = randomBytes(16).toString('base64')
    this.#issued.add(nonce)
    const challenges = this.#algorithms.map(
      (algorithm) =>
        `Digest realm="${REALM}", qop="auth, auth-int", algorithm=${algorithm}, nonce="${nonce}", ` +
        `opaque="${this.#opaque}"${isStale ? ', stale=true' : ''}`
    )
    return new DavFailure(401, 'Refused', { 'www-authenticate': challenges })
  }
}

function expectedResponse(method: string, fields: Readonly<Record<Field, string>>, sessionCnonce: string): string {
  const { algorithm, nonce, nc, cnonce, qop, uri } = fields
  const name = algorithm.startsWith('MD5') ? 'md5' : 'sha256'
  const hash = (...parts: string[]) => createHash(name).update(parts.join(':')).digest('hex')
  const secret = hash(FAKE_DAV_USER, REALM, FAKE_DAV_PASSWORD)
  const key = algorithm.endsWith('-sess') ? hash(secret, nonce, sessionCnonce) : secret
  const expected = hash(key, nonce, nc, cnonce, qop, hash(method, uri))
  return fields.username === FAKE_DAV_USER ? expected : ''
}

/** Parses the fields. Returns undefined if one is missing, repeated, or wrongly quoted (RFC 7616, 3.4). */
function parseFields(text: string): Readonly<Record<Field, string>> | undefined {
  const fields: Record<string, string> = {}
  const pattern = /([a-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",=]+))(?:,[ \t]*(?=[a-z])|$)/y
  while (pattern.lastIndex < text.length) {
    const [, name = '', quoted, token] = pattern.exec(text) ?? []
    const allowed: readonly string[] = quoted === undefined ? UNQUOTED : QUOTED
    if (!allowed.includes(name) || name in fields) return undefined
    fields[name] = quoted?.replace(/\\(.)/g, '$1') ?? token ?? ''
  }
  return [...QUOTED, ...UNQUOTED].every((name) => name in fields) ? (fields as Record<Field, string>) : undefined
}
