import type { Clock } from '../domain/ports.ts'

/** The system clocks. No other code reads them. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now()
}
