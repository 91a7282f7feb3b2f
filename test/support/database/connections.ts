import { Connections, type ConnectionsOptions } from '../../../src/connections/connections.ts'
import { Leases } from '../../../src/connections/leases.ts'
import { ProviderCatalog } from '../../../src/connections/provider-catalog.ts'
import { MinuteLimit } from '../../../src/core/user-limits.ts'
import { ManualClock } from '../time/clock.ts'
import { TEST_TIMEOUTS } from '../time/timeouts.ts'

/** Creates the connections over a store, without leases. Parts that are not given must not be used. */
export function createTestConnections(given: Partial<ConnectionsOptions> & Pick<ConnectionsOptions, 'store'>) {
  const { clock = new ManualClock() } = given
  const unused = (): never => {
    throw new Error('not used in this test')
  }
  return new Connections({
    clock,
    cipher: { seal: unused, open: unused, isCurrent: unused },
    providers: new ProviderCatalog(new Map(), TEST_TIMEOUTS),
    opener: { openStored: unused, openEntered: unused, findOpen: unused },
    leases: new Leases({ connections: given.store, changeLog: { poll: unused, prune: unused }, leaseMs: 0, clock }),
    maxPerUser: 20,
    failedAttempts: new MinuteLimit(5, 'too many', clock),
    invalidate: unused,
    onRemoved: unused,
    onChange: unused,
    onRecordFailure: unused,
    ...given
  })
}
