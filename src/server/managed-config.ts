import { resolve } from 'node:path'
import type { ManagedStoreOptions } from '../domain/managed-store.ts'
import { readSettings, type RawSettings } from '../providers/s3/settings.ts'
import { UnusableSetting } from '../providers/shared/unusable-setting.ts'
import type { Environment } from './environment.ts'

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
const USABLE: RawSettings = { bucket: 'bucket', accessKeyId: 'key', secretAccessKey: 'key' }

export function readManaged(env: Environment): ManagedStoreOptions {
  const directory = env.text('MANAGED_DISK_DIRECTORY')
  const given = env.set(Object.keys(S3_VARIABLES))
  if (directory !== undefined) {
    if (given.length > 0) {
      env.problem('MANAGED_DISK_DIRECTORY', `cannot be combined with ${given.join(', ')}: documents have one store`)
    }
    return { type: 'disk', directory: resolve(directory) }
  }
  if (given.length === 0) {
    env.problem(
      'MANAGED_S3_BUCKET',
      'is missing. Set it, MANAGED_S3_ACCESS_KEY_ID and MANAGED_S3_SECRET_ACCESS_KEY to store managed documents in ' +
        'S3, or MANAGED_DISK_DIRECTORY to store them on this machine'
    )
    return { type: 'disk', directory: '' }
  }
  return readS3(env)
}

function readS3(env: Environment): ManagedStoreOptions {
  for (const [name, setting] of Object.entries(S3_VARIABLES)) checkAlone(env, name, setting)
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
function checkAlone(env: Environment, name: string, setting: keyof RawSettings): void {
  const text = env.text(name)
  if (text === undefined) return
  const value = setting === 'forcePathStyle' && (text === 'true' || text === 'false') ? text === 'true' : text
  try {
    readSettings({ ...USABLE, [setting]: value })
  } catch (error) {
    if (!(error instanceof UnusableSetting)) throw error
    env.problems.push(error.message.replace(`The field "${setting}"`, name).replace(/\.$/, ''))
  }
}
