// Statistics of a run. Randomness is seeded: the same figures give the same interval, and every run requests the same
// folders in the same order.

const RESAMPLES = 2000
/** The share of resampled medians that lies between `low` and `high`. */
const CONFIDENCE = 0.95

/** Returns a generator of numbers from 0 to below 1 (Mulberry32). */
export function random(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Returns a quantile, interpolated between two values. @param share 0.5: the median */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort()
  const place = (sorted.length - 1) * share
  const below = sorted[Math.floor(place)]
  return below + (sorted[Math.ceil(place)] - below) * (place - Math.floor(place))
}

export const median = (values) => quantile(values, 0.5)

/** Returns the median of the rounds' ratios, and the bootstrap interval of that median. */
export function summarise(ratios, seed = 1) {
  const draw = random(seed)
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(ratios.map(() => ratios[Math.floor(draw() * ratios.length)]))
  )
  const tail = (1 - CONFIDENCE) / 2
  return { ratio: median(ratios), low: quantile(medians, tail), high: quantile(medians, 1 - tail) }
}
