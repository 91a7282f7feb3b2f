import type { Egress } from '../../../src/core/egress.ts'
import type { Timeouts } from '../../../src/core/stores.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import type { Preconditions } from '../../../src/providers/s3/session.ts'
import { openS3 } from '../../../src/providers/s3/index.ts'
import { readSettings } from '../../../src/providers/s3/settings.ts'
import { openEgress } from '../backend/egress.ts'
import { FAKE_BUCKET, FAKE_CREDENTIALS, type FakeS3 } from '../../fakes/s3/fake-s3.ts'
import { TEST_TIMEOUTS } from '../time/timeouts.ts'

export interface FakeBackendOptions {
  readonly prefix?: string
  readonly preconditions?: Preconditions
  readonly timeouts?: Partial<Timeouts>
  readonly egress?: Pick<Egress, 'agents' | 'transferAgents'>
}

/** Opens a backend on the fake's bucket. */
export function openFakeS3(
  { endpoint }: Pick<FakeS3, 'endpoint'>,
  options: FakeBackendOptions = {}
): Promise<StorageBackend> {
  const { prefix, preconditions, timeouts, egress = openEgress() } = options
  return openS3(readSettings({ endpoint, bucket: FAKE_BUCKET, prefix, ...FAKE_CREDENTIALS }), {
    agents: egress.agents,
    transferAgents: egress.transferAgents,
    timeouts: { ...TEST_TIMEOUTS, ...timeouts },
    ...(preconditions !== undefined && { preconditions })
  })
}
