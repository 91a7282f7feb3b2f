import type { Secret } from '../../domain/secret.ts'
import { type Challenge, readChallenges } from './challenge.ts'
import { type DigestCredentials, DigestSession, isAnswerable } from './digest.ts'

/** RFC 7617: no colon in a user name, and no control characters in either. */
export const USERNAME = /^[^\p{Cc}:]{1,255}$/u
export const PASSWORD = /^[^\p{Cc}]{1,1024}$/u

/** How a connection proves who it is. */
export type DavAuthentication =
  | { readonly type: 'basic' | 'digest'; readonly username: string; readonly password: Secret<string> }
  | { readonly type: 'bearer'; readonly token: Secret<string> }

/** What is authorized: its method, and path and query as they are sent. */
export interface Authorized {
  readonly method: string
  readonly uri: string
}

/** The answer to one challenge, for one request. */
export interface Attempt {
  /** The value of `Authorization`. */
  readonly value: string
  /** To be called where the server took it: requests to come go on from here. */
  accepted(): void
}

/** Makes the `Authorization` of each request, for one server and one user. */
export interface Authorizer {
  /** Whether each request is authorized alike, without a word of the server. */
  readonly isFixed: boolean
  /** The header's value, or `undefined` where the server must be heard first. */
  authorize(request: Authorized): string | undefined
  /**
   * How to make a request once more that was refused with this challenge; `undefined` where the credentials are what
   * was refused.
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
 * What a user name and a password are good for at a server that sends this challenge; `null` where it wants something
 * else, and is not sent the password.
 */
export function chooseAuthentication(challenge: string | undefined, isEncrypted: boolean): 'basic' | 'digest' | null {
  const challenges = readChallenges(challenge)
  const offersBasic = challenges.length === 0 || challenges.some(({ scheme }) => scheme === 'basic')
  // Basic sends the password itself: over plain http it is the last resort.
  if (challenges.some(isAnswerable) && !(offersBasic && isEncrypted)) return 'digest'
  return offersBasic ? 'basic' : null
}

/** Whether a server says that only the nonce was too old: whoever sent it knows the password (RFC 7616, 3.3). */
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
   * The request gets a session of its own, out of its own challenge: nonces may be good for a few requests only, and
   * on several sockets the numbers of a shared one overtake each other, which servers refuse (RFC 7616, 3.4). A shared
   * one was good once, so that a refusal says something about its nonce, whether it is called stale or not.
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
