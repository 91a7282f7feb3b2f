import { createPublicKey, type KeyObject } from 'node:crypto'
import { Secret } from '../domain/secret.ts'
import { createKeyRing, type KeyRingOptions } from '../infra/crypto/key-ring.ts'
import type { Environment } from './environment.ts'

/** The verification of tokens. There is one algorithm: a token never chooses how it is verified. */
export interface JwtConfig {
  readonly algorithm: 'HS256' | AsymmetricAlgorithm
  /** The shared secret of HS256, or a public key in PEM. */
  readonly key: Secret<string>
  readonly issuer: string
  readonly audience: string
}

type AsymmetricAlgorithm = keyof typeof KEY_KINDS

export const SECURITY_VARIABLES = [
  'ENCRYPTION_KEYS',
  'ENCRYPTION_CURRENT_KEY',
  'JWT_SECRET',
  'JWT_PUBLIC_KEY',
  'JWT_ALGORITHM',
  'JWT_ISSUER',
  'JWT_AUDIENCE'
]

/** RFC 7518, 3.2: an HS256 key is at least as long as the hash. */
const MIN_SECRET_BYTES = 32
const MIN_RSA_BITS = 2048

/** The required kind of key, by algorithm. */
const KEY_KINDS = {
  RS256: (key: KeyObject) =>
    key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS,
  ES256: (key: KeyObject) => key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1',
  EdDSA: (key: KeyObject) => key.asymmetricKeyType === 'ed25519'
}

export function readEncryption(env: Environment): KeyRingOptions {
  const what = 'it lists the keys that encrypt credentials, comma-separated, as name:base64 of 32 random bytes'
  env.required('ENCRYPTION_KEYS', what)
  const current = env.required('ENCRYPTION_CURRENT_KEY', 'it names the key of ENCRYPTION_KEYS that is used from now on')
  const keys: Record<string, string> = Object.create(null) as Record<string, string>
  for (const item of env.list('ENCRYPTION_KEYS')) {
    const colon = item.indexOf(':')
    const name = item.slice(0, Math.max(colon, 0))
    if (name in keys) env.problem('ENCRYPTION_KEYS', 'has two keys with the same name')
    keys[name] = item.slice(colon + 1)
  }
  const options = { current, keys }
  if (env.set(['ENCRYPTION_KEYS', 'ENCRYPTION_CURRENT_KEY']).length < 2) return options
  if (Object.keys(keys).length === 0) env.problem('ENCRYPTION_KEYS', `contains no key: ${what}`)
  else if (!(current in keys)) env.problem('ENCRYPTION_CURRENT_KEY', 'is not the name of a key in ENCRYPTION_KEYS')
  else checkKeyRing(env, options)
  return options
}

function checkKeyRing(env: Environment, options: KeyRingOptions): void {
  try {
    createKeyRing(options)
  } catch (error) {
    const reason = (error as Error).message
    const name = reason.startsWith('encryption.current') ? 'ENCRYPTION_CURRENT_KEY' : 'ENCRYPTION_KEYS'
    env.problem(
      name,
      `is invalid: ${reason.replaceAll('encryption.keys.', 'key ').replaceAll(/encryption\.(?:keys|current):? ?/g, '')}`
    )
  }
}

export function readJwt(env: Environment): JwtConfig {
  const issuer = env.exact('JWT_ISSUER', 'tokens must contain it as `iss`') ?? ''
  const audience = env.exact('JWT_AUDIENCE', 'tokens must contain it as `aud`') ?? ''
  const secret = env.text('JWT_SECRET')
  const publicKey = env.text('JWT_PUBLIC_KEY')
  if (secret !== undefined && publicKey !== undefined) {
    env.problem('JWT_SECRET', 'cannot be combined with JWT_PUBLIC_KEY: set the one that JWT_ALGORITHM requires')
  } else if (publicKey !== undefined) {
    const { algorithm, pem } = readPublicKey(env, publicKey)
    return { algorithm, key: new Secret(pem), issuer, audience }
  } else if (secret === undefined) {
    env.problem('JWT_SECRET', 'is missing: set it (HS256), or JWT_PUBLIC_KEY with JWT_ALGORITHM (RS256, ES256, EdDSA)')
  } else if (Buffer.byteLength(secret) < MIN_SECRET_BYTES) {
    env.problem('JWT_SECRET', `must be at least ${MIN_SECRET_BYTES} bytes long`)
  }
  if (publicKey === undefined && (env.text('JWT_ALGORITHM') ?? 'HS256') !== 'HS256') {
    env.problem('JWT_ALGORITHM', 'must be HS256 with JWT_SECRET; the other algorithms require JWT_PUBLIC_KEY')
  }
  return { algorithm: 'HS256', key: new Secret(secret ?? ''), issuer, audience }
}

function readPublicKey(env: Environment, text: string): { algorithm: AsymmetricAlgorithm; pem: string } {
  const algorithms = Object.keys(KEY_KINDS) as AsymmetricAlgorithm[]
  const algorithm = env.choice('JWT_ALGORITHM', algorithms)
  if (env.text('JWT_ALGORITHM') === undefined) {
    env.problem('JWT_ALGORITHM', `is missing: JWT_PUBLIC_KEY requires one of ${algorithms.join(', ')}`)
  }
  // Env files and compose files contain a PEM in one line.
  const pem = text.replaceAll('\\n', '\n')
  const key = parsePublicKey(pem)
  if (key === null) {
    env.problem('JWT_PUBLIC_KEY', 'must be a public key in PEM (-----BEGIN PUBLIC KEY-----)')
  } else if (algorithm !== undefined && !KEY_KINDS[algorithm](key)) {
    env.problem(
      'JWT_PUBLIC_KEY',
      `is not a key for ${algorithm}: RS256 takes RSA of at least ${MIN_RSA_BITS} bits, ES256 P-256, EdDSA Ed25519`
    )
  }
  return { algorithm: algorithm ?? 'RS256', pem }
}

/** Parses a public key. Rejects a private key, from which Node would derive the public one. */
function parsePublicKey(pem: string): KeyObject | null {
  if (!/^\s*-----BEGIN (?:RSA )?PUBLIC KEY-----/.test(pem)) return null
  try {
    return createPublicKey(pem)
  } catch {
    return null
  }
}
