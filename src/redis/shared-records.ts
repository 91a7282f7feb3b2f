import type { SharedLock, SharedRecord, SharedRecords } from '../cache/shared-tier.ts'
import type { Clock, Moment } from '../core/time.ts'
import type { BytesSealer } from '../crypto/bytes-sealer.ts'
import { type RedisGate, UNAVAILABLE } from './gate.ts'
import { PageLock } from './page-lock.ts'

/** Lifetime of a record, which each check writes again. */
const RECORD_TTL_MS = 3_600_000
/** Maximal difference of the clocks of two instances, as for pages. */
const MAX_SKEW_MS = 1_000

export interface RedisRecordsOptions {
  readonly gate: RedisGate
  readonly sealer: BytesSealer
  readonly clock: Clock
  readonly nameOf: (kind: 'record' | 'lock', key: string) => string
}

/** Records in Redis, sealed together with their moment, under names that reveal nothing. */
export class RedisRecords implements SharedRecords {
  readonly #options: RedisRecordsOptions

  constructor(options: RedisRecordsOptions) {
    this.#options = options
  }

  async read(key: string): Promise<SharedRecord | null | 'unavailable'> {
    const { gate, sealer, clock, nameOf } = this.#options
    const name = nameOf('record', key)
    const found = await gate.run((redis) => Promise.all([redis.getBuffer(name), redis.pttl(name)]))
    if (found === UNAVAILABLE) return 'unavailable'
    const [sealed, remainingMs] = found
    const opened = sealed === null || remainingMs <= 0 ? null : sealer.open(sealed, name)
    if (opened === null) return null
    const wallAgeMs = clock.date() - opened.time
    // Redis has one clock for all instances: it shows the age even if ours is behind.
    const ageMs = Math.max(wallAgeMs, RECORD_TTL_MS - remainingMs, 0)
    return { bytes: opened.bytes, ageMs: wallAgeMs < -MAX_SKEW_MS ? Infinity : ageMs }
  }

  async write(key: string, bytes: Buffer, moment: Moment, isFirst: boolean): Promise<boolean> {
    const { gate, sealer, clock, nameOf } = this.#options
    const name = nameOf('record', key)
    const ageMs = moment.ageMs(clock)
    const ttlMs = Math.floor(RECORD_TTL_MS - ageMs)
    if (ttlMs <= 0) return false
    const sealed = sealer.seal(bytes, name, clock.date() - ageMs)
    const reply = await gate.run((redis) =>
      isFirst ? redis.set(name, sealed, 'PX', ttlMs, 'NX') : redis.set(name, sealed, 'PX', ttlMs)
    )
    return reply !== UNAVAILABLE && reply !== null
  }

  async lock(key: string): Promise<SharedLock | null | 'unavailable'> {
    const { gate, nameOf } = this.#options
    const lock = await PageLock.acquire(gate, nameOf('lock', `record ${key}`))
    return lock === UNAVAILABLE ? 'unavailable' : lock
  }
}
