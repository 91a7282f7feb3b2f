import { createHash, randomBytes } from 'node:crypto'
import type { Challenge } from './challenge.ts'

const ALGORITHMS: Readonly<Record<string, string>> = { MD5: 'md5', 'SHA-256': 'sha256', 'SHA-512-256': 'sha512-256' }

export interface DigestCredentials {
  readonly username: string
  readonly password: string
}

/** Returns whether a challenge is supported (RFC 7616): these algorithms, without protection of bodies. */
export function isAnswerable({ scheme, parameters }: Challenge): boolean {
  const { realm, nonce, qop } = parameters
  const offers = qop === undefined || qop.split(',').some((each) => each.trim().toLowerCase() === 'auth')
  return scheme === 'digest' && realm !== undefined && nonce !== undefined && offers && algorithmOf(parameters) !== null
}

/** One nonce of a server, with its use counter. */
export class DigestSession {
  readonly #parameters: Challenge['parameters']
  readonly #credentials: DigestCredentials
  readonly #cnonce: string
  #count = 0

  /** @param challenge one that {@link isAnswerable} */
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
      `realm=${quoted(realm)}`,
      `nonce=${quoted(nonce)}`,
      `uri=${quoted(uri)}`,
      ...(algorithm === undefined ? [] : [`algorithm=${algorithm}`]),
      ...(qop === undefined && !isSession ? [] : [`cnonce="${cnonce}"`]),
      ...(qop === undefined ? [] : [`nc=${nc}`, 'qop=auth']),
      `response="${response}"`,
      ...(opaque === undefined ? [] : [`opaque=${quoted(opaque)}`])
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
    ? `username=${quoted(username)}`
    : `username*=UTF-8''${encodeURIComponent(username).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)}`
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}
