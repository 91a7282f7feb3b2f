import type { Test } from 'tap'
import type { StorageBackend } from '../../src/domain/storage-backend.ts'
import { brokenSmallUploads, brokenUploads } from './suite/broken-uploads.ts'
import { describesItself } from './suite/describes-itself.ts'
import { downloads } from './suite/downloads.ts'
import { lists } from './suite/lists.ts'
import { refusesHostileIds } from './suite/refuses-hostile-ids.ts'
import { replacesWithConditions } from './suite/replaces-with-conditions.ts'
import { uploads } from './suite/uploads.ts'
import { usesTokens } from './suite/uses-tokens.ts'
import { writesFolders } from './suite/writes-folders.ts'
import type { Harness } from './harness.ts'

export interface ContractOptions {
  /** A layer to run the suite through. */
  readonly wrap?: (backend: StorageBackend) => StorageBackend
}

/** Everything that a backend promises. Its capabilities decide what is asked of it, and are themselves tested. */
export function backendContract(t: Test, harness: Harness, { wrap }: ContractOptions = {}): void {
  const open = async (t: Test) => {
    const opened = await harness.open(t)
    return wrap === undefined ? opened : { ...opened, backend: wrap(opened.backend) }
  }
  for (const part of [
    describesItself,
    lists,
    downloads,
    uploads,
    // Layers do not see how a body is cut into parts.
    wrap === undefined ? brokenUploads : brokenSmallUploads,
    replacesWithConditions,
    writesFolders,
    refusesHostileIds
  ]) {
    part(t, open)
  }
  if (harness.withTokens !== undefined) usesTokens(t, harness.withTokens, wrap ?? ((backend) => backend))
}
