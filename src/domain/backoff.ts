const BASE_MS = 500
const CAP_MS = 32_000

/**
 * Returns the delay before a retry, with full jitter: a random time below a bound that doubles with each retry. The
 * jitter keeps calls that failed together from being retried together.
 *
 * @param retry counted from 0
 * @param random returns a number in [0, 1), as `Math.random`
 */
export function backoffMs(retry: number, random: () => number): number {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** retry)
}
