import type { ManagedS3Options } from '../domain/managed-store.ts'
import type { Timeouts } from '../domain/ports.ts'
import { defineProvider, type TypedProvider } from '../domain/provider.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { managedAgents } from './s3/agents.ts'
import { capabilitiesWith } from './s3/backend.ts'
import { connect, openCredentials } from './s3/credentials.ts'
import { Keys } from './s3/keys.ts'
import { openS3 } from './s3/open.ts'
import { addressesOf, readSettings } from './s3/settings.ts'

/** A connection's prefix makes keys longer; the backend checks the whole key. */
const KEYS = new Keys('')

/** Buckets of users, at AWS or at any S3-compatible server. */
export const provider: TypedProvider = defineProvider({
  id: 's3',
  label: 'S3-compatible storage',
  capabilities: capabilitiesWith('emulated'),
  connect,
  checkFolderId: (id) => void KEYS.ofFolder(id),
  async open({ credentials, egress, timeouts }) {
    const settings = openCredentials(credentials)
    for (const address of addressesOf(settings)) egress.assertAllowed(address)
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
