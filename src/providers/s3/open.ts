import type { Timeouts } from '../../domain/ports.ts'
import type { StorageBackend } from '../../domain/storage-backend.ts'
import { importSdk } from '../shared/import-sdk.ts'
import type { S3Agents } from './agents.ts'
import { S3Backend } from './backend.ts'
import type { Preconditions } from './bucket.ts'
import { createClient } from './client.ts'
import { Keys } from './keys.ts'
import { accountIdOf, isAws, labelOf, type S3Settings } from './settings.ts'

export interface OpenOptions extends S3Agents {
  readonly timeouts: Timeouts
  /** Defaults to what is known about the endpoint. */
  readonly preconditions?: Preconditions
}

/** Opens a bucket without a request: a missing bucket is reported by its first use, or by `account()`. */
export async function openS3(
  settings: S3Settings,
  { agents, transferAgents, timeouts, preconditions }: OpenOptions
): Promise<StorageBackend> {
  const sdk = await importSdk('@aws-sdk/client-s3', () => import('@aws-sdk/client-s3'))
  const options = { sdk, settings, timeouts }
  const calls = createClient({ ...options, agents, purpose: 'calls' })
  const { publicEndpoint } = settings
  const links =
    publicEndpoint === null
      ? calls
      : createClient({ ...options, agents, settings: { ...settings, endpoint: publicEndpoint }, purpose: 'calls' })
  return new S3Backend(
    {
      sdk,
      name: settings.bucket,
      keys: new Keys(settings.prefix),
      timeouts,
      preconditions: preconditions ?? (isAws(settings) ? 'native' : 'emulated'),
      calls,
      uploads: createClient({ ...options, agents: transferAgents, purpose: 'calls' }),
      transfers: createClient({ ...options, agents: transferAgents, purpose: 'transfers' }),
      links
    },
    { id: accountIdOf(settings), name: labelOf(settings), email: null, quota: null }
  )
}
