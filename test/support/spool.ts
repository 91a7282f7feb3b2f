import { systemClock } from '../../src/infra/clock.ts'
import { SpoolSpace, type SpoolSpaceOptions } from '../../src/infra/upload-spool.ts'

const MIB = 1024 * 1024
/** As large as tests need, in the system's folder for temporary files. */
const LIMITS = { maxBytes: 128 * MIB, maxBytesPerUser: 256 * MIB, maxTotalBytes: 512 * MIB }

export function spoolSpace(options: Partial<SpoolSpaceOptions> = {}): SpoolSpace {
  return new SpoolSpace({ ...LIMITS, folder: undefined, clock: systemClock, ...options })
}

/** The space of one user. */
export const TEST_SPOOL = spoolSpace().forUser('user')
