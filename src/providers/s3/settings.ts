import { Secret } from '../../domain/secret.ts'
import { isUnambiguous } from '../shared/object-path.ts'
import { UnusableSetting } from '../shared/unusable-setting.ts'

/** One bucket, or one folder of it, and how to reach it. Checked: nothing in here has to be looked at again. */
export interface S3Settings {
  /** An origin, or `null` for AWS. */
  readonly endpoint: string | null
  /** The origin that download links name. */
  readonly publicEndpoint: string | null
  readonly region: string
  readonly bucket: string
  /** Empty, or ending with `/`. */
  readonly prefix: string
  readonly accessKeyId: string
  readonly secretAccessKey: Secret<string>
  readonly forcePathStyle: boolean
}

/** The same as it comes: typed by a user, configured by the host, or out of the database. */
export type RawSettings = Readonly<Partial<Record<keyof S3Settings, unknown>>>

/** The longest `accountId`, in bytes: together with a user's id it must fit a key of PostgreSQL's btree (2704). */
const MAX_ACCOUNT_ID_BYTES = 1900
export const MAX_ENDPOINT_LENGTH = 255
export const MAX_PREFIX_BYTES = 512
export const REGION = /^[A-Za-z0-9-]{1,63}$/
export const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/
/** No comma, slash or equals sign: they stand between the parts of the `Authorization` header. */
export const ACCESS_KEY_ID = /^[!-+.0-<>-~-]{1,128}$/
export const SECRET_ACCESS_KEY = /^[ -~]{1,256}$/
/** Directory buckets, Outposts and the like: other endpoints, another way to sign, and no order in listings. */
const SPECIAL_BUCKET = /--(?:x|xa|op|ol)-s3$/

/** @throws UnusableSetting */
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
    throw new UnusableSetting('The field "prefix" is too long together with the other fields.')
  }
  return settings
}

/**
 * Names the account: who (access key) sees what (bucket and prefix) where (endpoint). Different accounts never
 * share a text: `#` and `%` of the parts are escaped, an origin has no path, and a bucket no `/`.
 */
export function accountIdOf(settings: S3Settings): string {
  const place = `${originOf(settings)}/${settings.bucket}/${settings.prefix}`
  return `${escapeDoubtful(place)}#${escapeDoubtful(settings.accessKeyId)}`
}

export function labelOf(settings: S3Settings): string {
  return `${settings.bucket} at ${new URL(originOf(settings)).host}`
}

/** Whether the endpoint is Amazon's own S3, of which more is known than of other servers that speak its protocol. */
export function isAws(settings: S3Settings): boolean {
  if (settings.endpoint === null) return true
  return /(?:^|\.)amazonaws\.com(?:\.cn)?$/.test(new URL(settings.endpoint).hostname)
}

/**
 * Every address that calls go to. With the bucket in the host's name that is another host than the endpoint's, and
 * a user chooses both; names that cannot stand in a host go by the path all the same.
 */
export function addressesOf(settings: S3Settings): URL[] {
  const endpoint = new URL(originOf(settings))
  if (settings.forcePathStyle) return [endpoint]
  const hosted = `${endpoint.protocol}//${settings.bucket}.${endpoint.host}`
  return URL.canParse(hosted) ? [endpoint, new URL(hosted)] : [endpoint]
}

function originOf(settings: S3Settings): string {
  return settings.endpoint ?? `https://s3.${settings.region}.amazonaws.com`
}

/** Escapes what would be ambiguous, or cannot be seen: control and format characters, spaces. */
function escapeDoubtful(text: string): string {
  return text.replace(/[\p{C}\p{Z}%#?]/gu, encodeURIComponent)
}

function readText(field: string, value: unknown, pattern: RegExp, expected: string): string {
  if (typeof value !== 'string' || !pattern.test(value)) {
    throw new UnusableSetting(`The field "${field}" must be ${expected}.`)
  }
  return value
}

function readFlag(field: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new UnusableSetting(`The field "${field}" must be true or false.`)
  return value
}

function readOrigin(field: string, value: unknown): string {
  const fits = typeof value === 'string' && value.length <= MAX_ENDPOINT_LENGTH && URL.canParse(value)
  const url = fits ? new URL(value) : null
  // `href` keeps a lone `?` or `#`, which `search` and `hash` do not show.
  if (url === null || !/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/`) {
    throw new UnusableSetting(`The field "${field}" must be https://host or https://host:port, and nothing behind it.`)
  }
  return url.origin
}

function readBucket(value: unknown): string {
  const bucket = readText('bucket', value, BUCKET, '3 to 63 letters, digits, ".", "-" or "_"')
  if (SPECIAL_BUCKET.test(bucket)) {
    throw new UnusableSetting('The field "bucket" names a kind of bucket that is not supported.')
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
    throw new UnusableSetting(
      `The field "prefix" must be a folder like "a/b/" of at most ${MAX_PREFIX_BYTES} bytes, without ".", ".." or empty parts.`
    )
  }
  return prefix
}
