import { createPublicKey, type KeyObject } from 'node:crypto'
import { resolve } from 'node:path'
import type { OAuthClientSettings } from '../src/core/oauth.ts'
import type { ManagedStoreOptions } from '../src/core/provider.ts'
import { Secret } from '../src/core/secret.ts'
import { createKeyRing, type KeyRingOptions } from '../src/crypto/key-ring.ts'
import { SCOPE_PATTERN, TENANT_PATTERN } from '../src/options/providers.ts'
import { PROVIDERS } from '../src/providers/registry.ts'
import { type RawSettings, readSettings } from '../src/providers/s3/settings.ts'
import { InvalidSettingError } from '../src/providers/shared/credentials.ts'
import type { Environment } from './env.ts'

/** The verification of tokens. There is one algorithm: a token never chooses how it is verified. */
export interface JwtConfig {
  readonly algorithm: 'HS256' | AsymmetricAlgorithm
  /** The shared secret of HS256, or a public key in PEM. */
  readonly key: Secret<string>
  readonly issuer: string
  readonly audience: string
}

type AsymmetricAlgorithm = keyof typeof KEY_CHECKS

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
const KEY_CHECKS = {
  RS256: (key: KeyObject) =>
    key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS,
  ES256: (key: KeyObject) => key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1',
  EdDSA: (key: KeyObject) => key.asymmetricKeyType === 'ed25519'
}

export function readEncryption(env: Environment): KeyRingOptions {
  const purpose = 'it lists the keys that encrypt credentials, comma-separated, as name:base64 of 32 random bytes'
  env.required('ENCRYPTION_KEYS', purpose)
  const current = env.required('ENCRYPTION_CURRENT_KEY', 'it names the key of ENCRYPTION_KEYS that is used from now on')
  const keys: Record<string, string> = Object.create(null) as Record<string, string>
  for (const item of env.list('ENCRYPTION_KEYS')) {
    const colon = item.indexOf(':')
    const name = item.slice(0, Math.max(colon, 0))
    if (name in keys) env.addProblem('ENCRYPTION_KEYS', 'has two keys with the same name')
    keys[name] = item.slice(colon + 1)
  }
  const options = { current, keys }
  if (env.pickDefined(['ENCRYPTION_KEYS', 'ENCRYPTION_CURRENT_KEY']).length < 2) return options
  if (Object.keys(keys).length === 0) env.addProblem('ENCRYPTION_KEYS', `contains no key: ${purpose}`)
  else if (!(current in keys)) env.addProblem('ENCRYPTION_CURRENT_KEY', 'is not the name of a key in ENCRYPTION_KEYS')
  else checkKeyRing(env, options)
  return options
}

function checkKeyRing(env: Environment, options: KeyRingOptions): void {
  try {
    createKeyRing(options)
  } catch (error) {
    const reason = (error as Error).message
    const name = reason.startsWith('encryption.current') ? 'ENCRYPTION_CURRENT_KEY' : 'ENCRYPTION_KEYS'
    env.addProblem(
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
    env.addProblem('JWT_SECRET', 'cannot be combined with JWT_PUBLIC_KEY: set the one that JWT_ALGORITHM requires')
  } else if (publicKey !== undefined) {
    const { algorithm, pem } = readPublicKey(env, publicKey)
    return { algorithm, key: new Secret(pem), issuer, audience }
  } else if (secret === undefined) {
    env.addProblem(
      'JWT_SECRET',
      'is missing: set it (HS256), or JWT_PUBLIC_KEY with JWT_ALGORITHM (RS256, ES256, EdDSA)'
    )
  } else if (Buffer.byteLength(secret) < MIN_SECRET_BYTES) {
    env.addProblem('JWT_SECRET', `must be at least ${MIN_SECRET_BYTES} bytes long`)
  }
  if (publicKey === undefined && (env.text('JWT_ALGORITHM') ?? 'HS256') !== 'HS256') {
    env.addProblem('JWT_ALGORITHM', 'must be HS256 with JWT_SECRET; the other algorithms require JWT_PUBLIC_KEY')
  }
  return { algorithm: 'HS256', key: new Secret(secret ?? ''), issuer, audience }
}

function readPublicKey(env: Environment, text: string): { algorithm: AsymmetricAlgorithm; pem: string } {
  const algorithms = Object.keys(KEY_CHECKS) as AsymmetricAlgorithm[]
  const algorithm = env.choice('JWT_ALGORITHM', algorithms)
  if (env.text('JWT_ALGORITHM') === undefined) {
    env.addProblem('JWT_ALGORITHM', `is missing: JWT_PUBLIC_KEY requires one of ${algorithms.join(', ')}`)
  }
  // Env files and compose files contain a PEM in one line.
  const pem = text.replaceAll('\\n', '\n')
  const key = parsePublicKey(pem)
  if (key === null) {
    env.addProblem('JWT_PUBLIC_KEY', 'must be a public key in PEM (-----BEGIN PUBLIC KEY-----)')
  } else if (algorithm !== undefined && !KEY_CHECKS[algorithm](key)) {
    env.addProblem(
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

/** The setting of the managed bucket, by variable. */
const S3_VARIABLES = {
  MANAGED_S3_ENDPOINT: 'endpoint',
  MANAGED_S3_PUBLIC_ENDPOINT: 'publicEndpoint',
  MANAGED_S3_REGION: 'region',
  MANAGED_S3_BUCKET: 'bucket',
  MANAGED_S3_PREFIX: 'prefix',
  MANAGED_S3_ACCESS_KEY_ID: 'accessKeyId',
  MANAGED_S3_SECRET_ACCESS_KEY: 'secretAccessKey',
  MANAGED_S3_FORCE_PATH_STYLE: 'forcePathStyle'
} as const satisfies Record<string, keyof RawSettings>

export const MANAGED_VARIABLES = [...Object.keys(S3_VARIABLES), 'MANAGED_DISK_DIRECTORY']

/** Placeholders for the other settings, so that each variable is checked alone. */
const PLACEHOLDER_SETTINGS: RawSettings = { bucket: 'bucket', accessKeyId: 'key', secretAccessKey: 'key' }

export function readManaged(env: Environment): ManagedStoreOptions {
  const directory = env.text('MANAGED_DISK_DIRECTORY')
  const setVariables = env.pickDefined(Object.keys(S3_VARIABLES))
  if (directory !== undefined) {
    if (setVariables.length > 0) {
      env.addProblem(
        'MANAGED_DISK_DIRECTORY',
        `cannot be combined with ${setVariables.join(', ')}: documents have one store`
      )
    }
    return { type: 'disk', directory: resolve(directory) }
  }
  if (setVariables.length === 0) {
    env.addProblem(
      'MANAGED_S3_BUCKET',
      'is missing. Set it, MANAGED_S3_ACCESS_KEY_ID and MANAGED_S3_SECRET_ACCESS_KEY to store managed documents in ' +
        'S3, or MANAGED_DISK_DIRECTORY to store them on this machine'
    )
    return { type: 'disk', directory: '' }
  }
  return readS3(env)
}

function readS3(env: Environment): ManagedStoreOptions {
  for (const [name, setting] of Object.entries(S3_VARIABLES)) checkSetting(env, name, setting)
  const flag = env.text('MANAGED_S3_FORCE_PATH_STYLE')
  const optional = {
    endpoint: env.text('MANAGED_S3_ENDPOINT'),
    publicEndpoint: env.text('MANAGED_S3_PUBLIC_ENDPOINT'),
    region: env.text('MANAGED_S3_REGION'),
    prefix: env.text('MANAGED_S3_PREFIX'),
    forcePathStyle: flag === undefined ? undefined : flag === 'true'
  }
  return {
    type: 's3',
    bucket: env.required('MANAGED_S3_BUCKET', 'it names the bucket of managed documents'),
    credentials: {
      accessKeyId: env.required('MANAGED_S3_ACCESS_KEY_ID', 'it opens the bucket of managed documents'),
      secretAccessKey: env.required('MANAGED_S3_SECRET_ACCESS_KEY', 'it opens the bucket of managed documents')
    },
    ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as {
      [Key in keyof typeof optional]?: Exclude<(typeof optional)[Key], undefined>
    })
  }
}

/** Checks a value by the rules of the S3 provider, and reports problems under the variable's name. */
function checkSetting(env: Environment, name: string, setting: keyof RawSettings): void {
  const text = env.text(name)
  if (text === undefined) return
  const value = setting === 'forcePathStyle' && (text === 'true' || text === 'false') ? text === 'true' : text
  try {
    readSettings({ ...PLACEHOLDER_SETTINGS, [setting]: value })
  } catch (error) {
    if (!(error instanceof InvalidSettingError)) throw error
    env.problems.push(error.message.replace(`The field "${setting}"`, name).replace(/\.$/, ''))
  }
}

/** The application's registrations at providers, by provider id. */
export type Registrations = Readonly<Record<string, OAuthClientSettings>>

/** The names of a provider's variables, derived from its id. */
interface RegistrationVariables {
  readonly provider: string
  readonly clientId: string
  readonly clientSecret: string
  readonly scopes: string
  /** `null` if the provider has no tenants. */
  readonly tenant: string | null
}

const REGISTRATION_VARIABLES: readonly RegistrationVariables[] = Object.entries(PROVIDERS)
  .filter(([, { oauth }]) => oauth)
  .map(([provider, { tenants }]) => {
    const prefix = provider.toUpperCase()
    return {
      provider,
      clientId: `${prefix}_CLIENT_ID`,
      clientSecret: `${prefix}_CLIENT_SECRET`,
      scopes: `${prefix}_SCOPES`,
      tenant: tenants ? `${prefix}_TENANT` : null
    }
  })

/** Reads the registrations. A provider is enabled if one of its variables is set. */
export function readRegistrations(env: Environment): Registrations {
  const used = REGISTRATION_VARIABLES.filter(
    ({ clientId, clientSecret, scopes, tenant }) =>
      env.pickDefined([clientId, clientSecret, scopes, tenant ?? scopes]).length > 0
  )
  const [first] = used
  if (first !== undefined) {
    env.required(
      'PUBLIC_URL',
      `${first.clientId} is set, and the provider redirects users to this URL, as registered there`
    )
  }
  return Object.fromEntries(used.map((names) => [names.provider, readRegistration(env, names)]))
}

function readRegistration(env: Environment, names: RegistrationVariables): OAuthClientSettings {
  const purpose = 'it is part of the registration at the provider'
  const clientId = env.exact(names.clientId, purpose) ?? ''
  const clientSecret = new Secret(env.exact(names.clientSecret, purpose) ?? '')
  const scopes = env.list(names.scopes)
  if (!scopes.every((scope) => SCOPE_PATTERN.test(scope))) {
    env.addProblem(names.scopes, 'must be a comma-separated list of scopes without spaces or quotes')
  }
  const tenant = names.tenant === null ? undefined : env.text(names.tenant)
  if (names.tenant !== null && tenant !== undefined && !TENANT_PATTERN.test(tenant)) {
    env.addProblem(names.tenant, 'must be common, organizations, consumers, or the id or a domain of a tenant')
  }
  return { clientId, clientSecret, ...(scopes.length > 0 && { scopes }), ...(tenant !== undefined && { tenant }) }
}
