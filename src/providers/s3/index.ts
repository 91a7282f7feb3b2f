import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { StorageBackend } from '../../core/backend.ts'
import type { EgressAgents } from '../../core/egress.ts'
import { defineProvider, type ManagedS3Options, type TypedProvider } from '../../core/provider.ts'
import type { Timeouts } from '../../core/stores.ts'
import { AGENT_OPTIONS } from '../../net/guarded-connection.ts'
import { importSdk } from '../shared/import-sdk.ts'
import { capabilitiesFor, S3Backend } from './backend.ts'
import { createClient, type Preconditions } from './client.ts'
import { Keys } from './entries.ts'
import {
  accountIdOf,
  endpointsOf,
  connect,
  isAws,
  labelOf,
  readCredentials,
  readSettings,
  type S3Settings
} from './settings.ts'

/** A connection's prefix makes keys longer; the backend checks the whole key. */
const KEYS = new Keys('')

/** Buckets of users, at AWS or at any S3-compatible server. */
export const provider: TypedProvider = defineProvider({
  id: 's3',
  label: 'S3-compatible storage',
  capabilities: capabilitiesFor('emulated'),
  connect,
  checkFolderId: (id) => void KEYS.prefixOf(id),
  async open({ credentials, egress, timeouts }) {
    const settings = readCredentials(credentials)
    for (const endpointUrl of endpointsOf(settings)) egress.assertAllowed(endpointUrl)
    return openS3(settings, { agents: egress.agents, transferAgents: egress.transferAgents, timeouts })
  }
})

/**
 * Opens the host's own bucket, to which no egress rule applies.
 *
 * @throws UnusableSetting for an invalid configuration
 */
export async function openManaged(
  options: ManagedS3Options,
  { timeouts }: { readonly timeouts: Timeouts }
): Promise<StorageBackend> {
  const { endpoint, publicEndpoint, region, bucket, prefix, credentials, forcePathStyle } = options
  const settings = readSettings({ endpoint, publicEndpoint, region, bucket, prefix, forcePathStyle, ...credentials })
  return openS3(settings, { ...managedAgents(), timeouts })
}

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
  const client = createClient({ ...options, agents, purpose: 'calls' })
  const { publicEndpoint } = settings
  const presignClient =
    publicEndpoint === null
      ? client
      : createClient({ ...options, agents, settings: { ...settings, endpoint: publicEndpoint }, purpose: 'calls' })
  return new S3Backend(
    {
      sdk,
      name: settings.bucket,
      keys: new Keys(settings.prefix),
      timeouts,
      preconditions: preconditions ?? (isAws(settings) ? 'native' : 'emulated'),
      client,
      uploadClient: createClient({ ...options, agents: transferAgents, purpose: 'calls' }),
      transferClient: createClient({ ...options, agents: transferAgents, purpose: 'transfers' }),
      presignClient
    },
    { id: accountIdOf(settings), name: labelOf(settings), email: null, quota: null }
  )
}

/** The agents of S3 clients. Bodies use separate sockets, so that calls never wait for a paused body's socket. */
export interface S3Agents {
  readonly agents: EgressAgents
  readonly transferAgents: EgressAgents
}

let sharedAgents: S3Agents | undefined

/**
 * Returns the agents for the host's own stores, to which no egress rule applies. A user's request must never use one
 * of their sockets; connections have agents of their own.
 */
export function managedAgents(): S3Agents {
  return (sharedAgents ??= { agents: createAgents(), transferAgents: createAgents() })
}

function createAgents(): EgressAgents {
  return { http: new HttpAgent(AGENT_OPTIONS), https: new HttpsAgent(AGENT_OPTIONS) }
}
