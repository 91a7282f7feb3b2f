import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { JwtConfig } from './config-secrets.ts'

/** OpenID Connect Core, section 2: `sub` is at most 255 characters. It becomes part of keys in the database. */
const MAX_SUBJECT_BYTES = 255

/** RFC 6750, section 3: without a token, the challenge is the scheme alone; an invalid token is reported as such. */
class Unauthenticated extends Error {
  override readonly name = 'Unauthenticated'
  readonly statusCode = 401
  readonly headers: { readonly 'www-authenticate': string }

  constructor(challenge: string, cause?: unknown) {
    super('Sign in first.', { cause })
    this.headers = { 'www-authenticate': challenge }
  }
}

/** Returns the user of a request, from its bearer token. */
export type BearerAuthentication = (request: FastifyRequest) => Promise<string>

/**
 * Verifies bearer tokens (RFC 7519) with one key, one algorithm, one issuer and one audience. A token cannot choose
 * how it is verified, and must expire.
 *
 * @returns a function that returns the user's id: the token's `sub`
 */
export function registerBearerAuthentication(app: FastifyInstance, config: JwtConfig): BearerAuthentication {
  const { algorithm, key, issuer, audience } = config
  app.register(fastifyJwt, {
    secret: algorithm === 'HS256' ? key.reveal() : { public: key.reveal() },
    sign: { algorithm, iss: issuer, aud: audience },
    verify: {
      algorithms: [algorithm],
      allowedIss: issuer,
      allowedAud: audience,
      // Claims that are not required are checked only if they are present.
      requiredClaims: ['iss', 'aud', 'sub', 'exp']
    }
  })

  return async (request) => {
    if (request.headers.authorization === undefined) throw new Unauthenticated('Bearer')
    let subject: unknown
    try {
      const claims = await request.jwtVerify<{ sub?: unknown }>()
      subject = claims.sub
    } catch (cause) {
      throw new Unauthenticated('Bearer error="invalid_token"', cause)
    }
    if (!isSubject(subject)) throw new Unauthenticated('Bearer error="invalid_token"')
    return subject
  }
}

/** Returns whether PostgreSQL can store the value unchanged. */
function isSubject(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    Buffer.byteLength(value) <= MAX_SUBJECT_BYTES &&
    value.isWellFormed() &&
    !value.includes('\0')
  )
}
