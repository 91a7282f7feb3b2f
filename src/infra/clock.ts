import type { Clock } from '../domain/ports.ts'

/** The machine's clocks: the one place that reads them. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now()
}
