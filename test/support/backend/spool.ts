import { systemClock } from '../../../src/core/time.ts'
import { SpoolSpace, type SpoolSpaceOptions } from '../../../src/transfers/upload-spool.ts'

const MIB = 1024 * 1024
/** Large enough for tests, in the system's temporary folder. */
const LIMITS = { maxBytes: 128 * MIB, maxBytesPerUser: 256 * MIB, maxTotalBytes: 512 * MIB }

export function spoolSpace(options: Partial<SpoolSpaceOptions> = {}): SpoolSpace {
  return new SpoolSpace({ ...LIMITS, folder: undefined, clock: systemClock, ...options })
}

const space = spoolSpace()

/** The space of one user. */
export const TEST_SPOOL = { create: () => space.create('user') }
