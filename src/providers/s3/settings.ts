import { Secret } from '../../core/secret.ts'
import { InvalidSettingError } from '../shared/credentials.ts'
import { isUnambiguous } from '../shared/names.ts'

/** A bucket, or one folder of it, and how to access it. All fields are validated. */
export interface S3Settings {
  /** An origin, or `null` for AWS. */
  readonly endpoint: string | null
  /** The origin of download links. */
  readonly publicEndpoint: string | null
  readonly region: string
  readonly bucket: string
  /** Empty, or ending with `/`. */
  readonly prefix: string
  readonly accessKeyId: string
  readonly secretAccessKey: Secret<string>
  readonly forcePathStyle: boolean
}

/** The same before validation: entered by a user, configured by the host, or read from the database. */
export type RawSettings = Readonly<Partial<Record<keyof S3Settings, unknown>>>

/** Maximum bytes of an `accountId`: together with a user's id it must fit a key of PostgreSQL's btree (2704). */
const MAX_ACCOUNT_ID_BYTES = 1900
export const MAX_ENDPOINT_LENGTH = 255
export const MAX_PREFIX_BYTES = 512
export const REGION = /^[A-Za-z0-9-]{1,63}$/
export const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/
/** Without comma, slash and equals sign, which separate the parts of the `Authorization` header. */
export const ACCESS_KEY_ID = /^[!-+.0-<>-~-]{1,128}$/
export const SECRET_ACCESS_KEY = /^[ -~]{1,256}$/
/** Directory buckets, Outposts and similar kinds have other endpoints and signatures, and unordered listings. */
const SPECIAL_BUCKET = /--(?:x|xa|op|ol)-s3$/

/** @throws InvalidSettingError */
export function readSettings(raw: RawSettings): S3Settings {
  const settings: S3Settings = {
    endpoint: raw.endpoint == null ? null : readOrigin('endpoint', raw.endpoint),
    publicEndpoint: raw.publicEndpoint == null ? null : readOrigin('publicEndpoint', raw.publicEndpoint),
    region: readText('region', raw.region ?? 'us-east-1', REGION, 'letters, digits and "-"'),
    bucket: readBucket(raw.bucket),
    prefix: readPrefix(raw.prefix ?? ''),
    accessKeyId: readText('accessKeyId', raw.accessKeyId, ACCESS_KEY_ID, '1 to 128 characters without "," "/" "="'),
    secretAccessKey: new Secret(
      readText('secretAccessKey', raw.secretAccessKey, SECRET_ACCESS_KEY, '1 to 256 printable ASCII characters')
    ),
    forcePathStyle: readFlag('forcePathStyle', raw.forcePathStyle ?? raw.endpoint != null)
  }
  if (Buffer.byteLength(accountIdOf(settings)) > MAX_ACCOUNT_ID_BYTES) {
    throw new InvalidSettingError('The field "prefix" is too long in combination with the other fields. Shorten it.')
  }
  return settings
}

/**
 * Identifies the account: the access key, the bucket and prefix, and the endpoint. Different accounts never have the
 * same id: `#` and `%` of the parts are escaped, an origin has no path, and a bucket no `/`.
 */
export function accountIdOf(settings: S3Settings): string {
  const location = `${originOf(settings)}/${settings.bucket}/${settings.prefix}`
  return `${escapeAmbiguous(location)}#${escapeAmbiguous(settings.accessKeyId)}`
}

export function labelOf(settings: S3Settings): string {
  return `${settings.bucket} at ${new URL(originOf(settings)).host}`
}

/** Returns whether the endpoint is Amazon S3, about which more is known than about compatible servers. */
export function isAws(settings: S3Settings): boolean {
  if (settings.endpoint === null) return true
  return /(?:^|\.)amazonaws\.com(?:\.cn)?$/.test(new URL(settings.endpoint).hostname)
}

/**
 * Returns every address to which requests go. With the bucket in the host name, this is another host than the
 * endpoint's, and users choose both. Buckets that cannot be part of a host name are addressed by path.
 */
export function endpointsOf(settings: S3Settings): URL[] {
  const endpoint = new URL(originOf(settings))
  if (settings.forcePathStyle) return [endpoint]
  const virtualHosted = `${endpoint.protocol}//${settings.bucket}.${endpoint.host}`
  return URL.canParse(virtualHosted) ? [endpoint, new URL(virtualHosted)] : [endpoint]
}

function originOf(settings: S3Settings): string {
  return settings.endpoint ?? `https://s3.${settings.region}.amazonaws.com`
}

/** Escapes ambiguous and invisible characters: control and format characters, spaces. */
function escapeAmbiguous(text: string): string {
  return text.replace(/[\p{C}\p{Z}%#?]/gu, encodeURIComponent)
}

function readText(field: string, value: unknown, pattern: RegExp, expected: string): string {
  if (typeof value !== 'string' || !pattern.test(value)) {
    throw new InvalidSettingError(`The field "${field}" must be ${expected}.`)
  }
  return value
}

function readFlag(field: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new InvalidSettingError(`The field "${field}" must be true or false.`)
  return value
}

function readOrigin(field: string, value: unknown): string {
  const isUrl = typeof value === 'string' && value.length <= MAX_ENDPOINT_LENGTH && URL.canParse(value)
  const url = isUrl ? new URL(value) : null
  // `href` contains a lone `?` or `#`, which `search` and `hash` omit.
  if (url === null || !/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/`) {
    throw new InvalidSettingError(
      `The field "${field}" must be https://host or https://host:port, without path or query.`
    )
  }
  return url.origin
}

function readBucket(value: unknown): string {
  const bucket = readText('bucket', value, BUCKET, '3 to 63 letters, digits, ".", "-" or "_"')
  if (SPECIAL_BUCKET.test(bucket)) {
    throw new InvalidSettingError('The field "bucket" names a bucket of an unsupported type.')
  }
  return bucket
}

function readPrefix(value: unknown): string {
  if (value === '') return ''
  const prefix = typeof value !== 'string' || value.endsWith('/') ? value : `${value}/`
  if (
    typeof prefix !== 'string' ||
    Buffer.byteLength(prefix) > MAX_PREFIX_BYTES ||
    !isUnambiguous(prefix) ||
    prefix.slice(0, -1).split('/').includes('')
  ) {
    throw new InvalidSettingError(
      `The field "prefix" must be a folder like "a/b/" of at most ${MAX_PREFIX_BYTES} bytes, without ".", ".." or empty parts.`
    )
  }
  return prefix
}
