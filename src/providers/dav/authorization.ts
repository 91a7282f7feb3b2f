import { createHash, randomBytes } from 'node:crypto'
import type { Secret } from '../../core/secret.ts'

/** The credentials of a connection. */
export type DavAuthentication =
  | { readonly type: 'basic' | 'digest'; readonly username: string; readonly password: Secret<string> }
  | { readonly type: 'bearer'; readonly token: Secret<string> }

/** The parts of a request that a digest covers: the method, and the path and query as they are sent. */
export interface RequestLine {
  readonly method: string
  readonly uri: string
}

/** The authorization of one request, in response to a challenge. */
export interface ChallengeResponse {
  /** The value of `Authorization`. */
  readonly value: string
  /** Must be called if the server accepted it. Later requests then continue its session. */
  confirm(): void
}

/** Creates the `Authorization` header of each request, for one server and one user. */
export interface Authorizer {
  /** Whether the header is the same for all requests and needs no challenge. */
  readonly isFixed: boolean
  /** Returns the header's value, or `undefined` if a challenge is needed first. */
  authorize(request: RequestLine): string | undefined
  /**
   * Returns the authorization for repeating a request after this challenge; `undefined` if the server refused the
   * credentials themselves.
   */
  respondTo(challenge: string | undefined, request: RequestLine): ChallengeResponse | undefined
}

export function createAuthorizer(authentication: DavAuthentication): Authorizer {
  if (authentication.type === 'bearer') return fixedAuthorizer(`Bearer ${authentication.token.reveal()}`)
  const { username } = authentication
  const password = authentication.password.reveal()
  if (authentication.type === 'digest') return new DigestAuthorizer({ username, password })
  return fixedAuthorizer(`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`)
}

/**
 * Returns the scheme for a user name and password at a server with this challenge; `null` if the server requires
 * another scheme, and must not receive the password.
 */
export function chooseAuthentication(challenge: string | undefined, isEncrypted: boolean): 'basic' | 'digest' | null {
  const challenges = readChallenges(challenge)
  const offersBasic = challenges.length === 0 || challenges.some(({ scheme }) => scheme === 'basic')
  // Basic sends the password itself, so over plain http it is the last resort.
  if (challenges.some(isSupported) && !(offersBasic && isEncrypted)) return 'digest'
  return offersBasic ? 'basic' : null
}

/** Returns whether only the nonce was too old. The client then knows the password (RFC 7616, 3.3). */
export function isStale(challenge: string | undefined): boolean {
  return selectChallenge(readChallenges(challenge).filter(isSupported))?.parameters['stale']?.toLowerCase() === 'true'
}

function fixedAuthorizer(value: string): Authorizer {
  return { isFixed: true, authorize: () => value, respondTo: () => undefined }
}

class DigestAuthorizer implements Authorizer {
  readonly isFixed = false
  readonly #credentials: DigestCredentials
  #session: DigestSession | undefined

  constructor(credentials: DigestCredentials) {
    this.#credentials = credentials
  }

  authorize({ method, uri }: RequestLine): string | undefined {
    return this.#session?.authorize(method, uri)
  }

  /**
   * Gives the request a session of its own, from its own challenge. Nonces may be valid for few requests only, and on
   * several sockets the counters of a shared session arrive out of order, which servers refuse (RFC 7616, 3.4). A
   * shared session has worked before, so a refusal concerns its nonce, even if it is not called stale.
   */
  respondTo(header: string | undefined, { method, uri }: RequestLine): ChallengeResponse | undefined {
    const challenge = selectChallenge(readChallenges(header).filter(isSupported))
    if (challenge === undefined) return undefined
    const session = new DigestSession(challenge, this.#credentials)
    return {
      value: session.authorize(method, uri),
      confirm: () => {
        this.#session = session
      }
    }
  }
}

function selectChallenge(challenges: readonly Challenge[]): Challenge | undefined {
  return challenges.find(({ parameters }) => parameters['algorithm']?.toUpperCase().startsWith('SHA')) ?? challenges[0]
}

/** An authentication scheme that a server offers (RFC 9110, 11.6.1). */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string
  /** Indexed by lower-case name. */
  readonly parameters: Readonly<Record<string, string | undefined>>
}

const TOKEN = "[!#$%&'*+.^_`|~\\w-]+"
const PARAMETER = new RegExp(`^(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}))\\s*(?:,\\s*|$)`, 's')
const SCHEME = new RegExp(`^(${TOKEN})(?:\\s+|\\s*,\\s*|$)`)
/** The form that `Negotiate` and similar schemes use instead of parameters. */
const TOKEN68 = /^[\w.~+/-]+=*\s*(?:,\s*|$)/

/** Parses `WWW-Authenticate`, which may contain several challenges. Stops at the first invalid one. */
export function readChallenges(header: string | undefined): Challenge[] {
  const challenges: Challenge[] = []
  let rest = header?.replace(/^[\s,]+/, '') ?? ''
  while (rest !== '') {
    const scheme = SCHEME.exec(rest)
    if (scheme === null) break
    rest = rest.slice(scheme[0].length)
    const parameters: Record<string, string> = Object.create(null) as Record<string, string>
    for (let match = PARAMETER.exec(rest); match !== null; match = PARAMETER.exec(rest)) {
      const [matchedText, name = '', quotedValue, tokenValue = ''] = match
      parameters[name.toLowerCase()] = quotedValue === undefined ? tokenValue : quotedValue.replace(/\\(.)/gs, '$1')
      rest = rest.slice(matchedText.length)
    }
    challenges.push({ scheme: scheme[1]?.toLowerCase() ?? '', parameters })
    if (Object.keys(parameters).length === 0)
      rest = rest.replace(TOKEN68, (token) => (/[=/+]/.test(token) ? '' : token))
  }
  return challenges
}

const ALGORITHMS: Readonly<Record<string, string>> = { MD5: 'md5', 'SHA-256': 'sha256', 'SHA-512-256': 'sha512-256' }

export interface DigestCredentials {
  readonly username: string
  readonly password: string
}

/** Returns whether a challenge is supported (RFC 7616): these algorithms, without protection of bodies. */
export function isSupported({ scheme, parameters }: Challenge): boolean {
  const { realm, nonce, qop } = parameters
  const offersAuth = qop === undefined || qop.split(',').some((option) => option.trim().toLowerCase() === 'auth')
  return (
    scheme === 'digest' && realm !== undefined && nonce !== undefined && offersAuth && algorithmOf(parameters) !== null
  )
}

/** One nonce of a server, with its use counter. */
export class DigestSession {
  readonly #parameters: Challenge['parameters']
  readonly #credentials: DigestCredentials
  readonly #cnonce: string
  #count = 0

  /** @param challenge one that {@link isSupported} */
  constructor(challenge: Challenge, credentials: DigestCredentials, cnonce = randomBytes(16).toString('hex')) {
    this.#cnonce = cnonce
    this.#parameters = challenge.parameters
    this.#credentials = credentials
  }

  /** Returns the `Authorization` of the next request. @param uri path and query, as they are sent */
  authorize(method: string, uri: string): string {
    const { realm = '', nonce = '', qop, opaque, algorithm } = this.#parameters
    const { hash, isSession } = algorithmOf(this.#parameters) ?? { hash: 'md5', isSession: false }
    const digest = (text: string): string => createHash(hash).update(text).digest('hex')
    const { username, password } = this.#credentials
    const cnonce = this.#cnonce
    const nc = (++this.#count).toString(16).padStart(8, '0')

    const secret = digest(`${username}:${realm}:${password}`)
    const a1 = isSession ? digest(`${secret}:${nonce}:${cnonce}`) : secret
    const a2 = digest(`${method}:${uri}`)
    const response =
      qop === undefined ? digest(`${a1}:${nonce}:${a2}`) : digest(`${a1}:${nonce}:${nc}:${cnonce}:auth:${a2}`)
    return [
      `Digest ${usernameParameter(username)}`,
      `realm=${quote(realm)}`,
      `nonce=${quote(nonce)}`,
      `uri=${quote(uri)}`,
      ...(algorithm === undefined ? [] : [`algorithm=${algorithm}`]),
      ...(qop === undefined && !isSession ? [] : [`cnonce="${cnonce}"`]),
      ...(qop === undefined ? [] : [`nc=${nc}`, 'qop=auth']),
      `response="${response}"`,
      ...(opaque === undefined ? [] : [`opaque=${quote(opaque)}`])
    ].join(', ')
  }
}

function algorithmOf({ algorithm = 'MD5' }: Challenge['parameters']): { hash: string; isSession: boolean } | null {
  const [, name = '', session] = /^(.*?)(-sess)?$/i.exec(algorithm) ?? []
  const hash = ALGORITHMS[name.toUpperCase()]
  return hash === undefined ? null : { hash, isSession: session !== undefined }
}

/** Encodes non-ASCII user names as in RFC 8187 (RFC 7616, 3.4). */
function usernameParameter(username: string): string {
  return /^[\x20-\x7e]*$/.test(username)
    ? `username=${quote(username)}`
    : `username*=UTF-8''${encodeURIComponent(username).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)}`
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}
