import type { CredentialsConnect, ObjectSchema, ParsedCredentials } from '../../core/provider.ts'
import { Secret } from '../../core/secret.ts'
import { readEnteredCredentials, readStoredCredentials } from '../shared/credentials.ts'
import {
  ACCESS_KEY_ID,
  accountIdOf,
  BUCKET,
  labelOf,
  MAX_ENDPOINT_LENGTH,
  MAX_PREFIX_BYTES,
  type RawSettings,
  readSettings,
  REGION,
  type S3Settings,
  SECRET_ACCESS_KEY
} from './settings.ts'

const schema: ObjectSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['endpoint', 'bucket', 'accessKeyId', 'secretAccessKey'],
  properties: {
    endpoint: {
      type: 'string',
      title: 'Endpoint',
      description: 'https://host or https://host:port',
      minLength: 1,
      maxLength: MAX_ENDPOINT_LENGTH
    },
    region: { type: 'string', title: 'Region', default: 'us-east-1', pattern: REGION.source },
    bucket: { type: 'string', title: 'Bucket', pattern: BUCKET.source },
    prefix: {
      type: 'string',
      title: 'Folder',
      description: 'Only objects below this key prefix are accessible',
      default: '',
      maxLength: MAX_PREFIX_BYTES
    },
    accessKeyId: { type: 'string', title: 'Access key', pattern: ACCESS_KEY_ID.source },
    secretAccessKey: { type: 'string', title: 'Secret key', pattern: SECRET_ACCESS_KEY.source, writeOnly: true },
    forcePathStyle: {
      type: 'boolean',
      title: 'Path style',
      description: 'Use https://host/bucket instead of https://bucket.host',
      default: true
    }
  }
}

/** Connects a user's own bucket. */
export const connect: CredentialsConnect = {
  type: 'credentials',
  schema,
  parse(fields): ParsedCredentials {
    const settings = readEnteredCredentials(() => readConnectionSettings(fields))
    const { endpoint, region, bucket, prefix, accessKeyId, forcePathStyle } = settings
    return {
      credentials: new Secret({
        endpoint,
        region,
        bucket,
        prefix,
        accessKeyId,
        secretAccessKey: settings.secretAccessKey.reveal(),
        forcePathStyle
      }),
      accountId: accountIdOf(settings),
      label: labelOf(settings)
    }
  }
}

/**
 * Reads what {@link connect} stored, as strictly as entered values: with missing or empty keys, the SDK would sign
 * with the server's own identity (environment, files, instance metadata).
 *
 * @throws StorageError `CREDENTIALS_UNREADABLE`
 */
export function readCredentials(credentials: Secret<unknown>): S3Settings {
  return readStoredCredentials(credentials, readConnectionSettings)
}

/** Users must enter an endpoint, and cannot enter a separate one for links. */
function readConnectionSettings(fields: RawSettings): S3Settings {
  const { endpoint, region, bucket, prefix, accessKeyId, secretAccessKey, forcePathStyle } = fields
  return readSettings({
    endpoint: endpoint ?? '',
    region,
    bucket,
    prefix,
    accessKeyId,
    secretAccessKey,
    forcePathStyle: forcePathStyle ?? true
  })
}
