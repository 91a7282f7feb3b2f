import type { Test } from 'tap'
import type { StorageBackend } from '../../src/core/backend.ts'
import { smallBrokenUploads, brokenUploads } from './suite/broken-uploads.ts'
import { describesItself } from './suite/describes-itself.ts'
import { downloads } from './suite/downloads.ts'
import { lists } from './suite/lists.ts'
import { refusesHostileIds } from './suite/refuses-hostile-ids.ts'
import { replacesWithConditions } from './suite/replaces-with-conditions.ts'
import { reportsChanges } from './suite/reports-changes.ts'
import { uploads } from './suite/uploads.ts'
import { usesTokens } from './suite/uses-tokens.ts'
import { writesFolders } from './suite/writes-folders.ts'
import type { Harness } from './harness.ts'

export interface ContractOptions {
  /** A layer to wrap around the backend. */
  readonly wrap?: (backend: StorageBackend) => StorageBackend
  /** False: a server of another make, which does not report changes as the provider's own does. Default: true. */
  readonly hasChanges?: boolean
}

/** The contract of a backend. Its capabilities determine which tests run, and are tested themselves. */
export function backendContract(t: Test, harness: Harness, { wrap, hasChanges = true }: ContractOptions = {}): void {
  const open = async (t: Test) => {
    const opened = await harness.open(t)
    return wrap === undefined ? opened : { ...opened, backend: wrap(opened.backend) }
  }
  for (const suite of [
    describesItself,
    lists,
    downloads,
    uploads,
    // Layers do not affect how a body is split into parts.
    wrap === undefined ? brokenUploads : smallBrokenUploads,
    replacesWithConditions,
    writesFolders,
    ...(hasChanges ? [reportsChanges] : []),
    refusesHostileIds
  ]) {
    suite(t, open)
  }
  if (harness.tokenHarness !== undefined) usesTokens(t, harness.tokenHarness, wrap ?? ((backend) => backend))
}
