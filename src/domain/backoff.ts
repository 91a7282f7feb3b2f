const BASE_MS = 500
const CAP_MS = 32_000

/**
 * How long to wait before a try is repeated, with full jitter: anything between nothing and a bound that doubles, so
 * that those who failed together do not come back together.
 *
 * @param retry counted from 0
 * @param random between 0 and 1, as `Math.random`
 */
export function backoffMs(retry: number, random: () => number): number {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** retry)
}
