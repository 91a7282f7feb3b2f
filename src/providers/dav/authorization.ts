import type { Secret } from '../../domain/secret.ts'
import { type Challenge, readChallenges } from './challenge.ts'
import { type DigestCredentials, DigestSession, isAnswerable } from './digest.ts'

/** RFC 7617: no colon in the user name, and no control characters in user name or password. */
export const USERNAME = /^[^\p{Cc}:]{1,255}$/u
export const PASSWORD = /^[^\p{Cc}]{1,1024}$/u

/** The credentials of a connection. */
export type DavAuthentication =
  | { readonly type: 'basic' | 'digest'; readonly username: string; readonly password: Secret<string> }
  | { readonly type: 'bearer'; readonly token: Secret<string> }

/** The parts of a request that a digest covers: the method, and the path and query as they are sent. */
export interface Authorized {
  readonly method: string
  readonly uri: string
}

/** The authorization of one request, in response to a challenge. */
export interface Attempt {
  /** The value of `Authorization`. */
  readonly value: string
  /** Must be called if the server accepted it. Later requests then continue its session. */
  accepted(): void
}

/** Creates the `Authorization` header of each request, for one server and one user. */
export interface Authorizer {
  /** Whether the header is the same for all requests and needs no challenge. */
  readonly isFixed: boolean
  /** Returns the header's value, or `undefined` if a challenge is needed first. */
  authorize(request: Authorized): string | undefined
  /**
   * Returns the authorization for repeating a request after this challenge; `undefined` if the server refused the
   * credentials themselves.
   */
  answer(challenge: string | undefined, request: Authorized): Attempt | undefined
}

export function createAuthorizer(authentication: DavAuthentication): Authorizer {
  if (authentication.type === 'bearer') return fixed(`Bearer ${authentication.token.reveal()}`)
  const { username } = authentication
  const password = authentication.password.reveal()
  if (authentication.type === 'digest') return new DigestAuthorizer({ username, password })
  return fixed(`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`)
}

/**
 * Returns the scheme for a user name and password at a server with this challenge; `null` if the server requires
 * another scheme, and must not receive the password.
 */
export function chooseAuthentication(challenge: string | undefined, isEncrypted: boolean): 'basic' | 'digest' | null {
  const challenges = readChallenges(challenge)
  const offersBasic = challenges.length === 0 || challenges.some(({ scheme }) => scheme === 'basic')
  // Basic sends the password itself, so over plain http it is the last resort.
  if (challenges.some(isAnswerable) && !(offersBasic && isEncrypted)) return 'digest'
  return offersBasic ? 'basic' : null
}

/** Returns whether only the nonce was too old. The client then knows the password (RFC 7616, 3.3). */
export function isStale(challenge: string | undefined): boolean {
  return strongest(readChallenges(challenge).filter(isAnswerable))?.parameters['stale']?.toLowerCase() === 'true'
}

function fixed(value: string): Authorizer {
  return { isFixed: true, authorize: () => value, answer: () => undefined }
}

class DigestAuthorizer implements Authorizer {
  readonly isFixed = false
  readonly #credentials: DigestCredentials
  #session: DigestSession | undefined

  constructor(credentials: DigestCredentials) {
    this.#credentials = credentials
  }

  authorize({ method, uri }: Authorized): string | undefined {
    return this.#session?.authorize(method, uri)
  }

  /**
   * Gives the request a session of its own, from its own challenge. Nonces may be valid for few requests only, and on
   * several sockets the counters of a shared session arrive out of order, which servers refuse (RFC 7616, 3.4). A
   * shared session has worked before, so a refusal concerns its nonce, even if it is not called stale.
   */
  answer(header: string | undefined, { method, uri }: Authorized): Attempt | undefined {
    const challenge = strongest(readChallenges(header).filter(isAnswerable))
    if (challenge === undefined) return undefined
    const session = new DigestSession(challenge, this.#credentials)
    return {
      value: session.authorize(method, uri),
      accepted: () => {
        this.#session = session
      }
    }
  }
}

function strongest(challenges: readonly Challenge[]): Challenge | undefined {
  return challenges.find(({ parameters }) => parameters['algorithm']?.toUpperCase().startsWith('SHA')) ?? challenges[0]
}
