/** The middle one of some values. */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Their median, and where 95 of 100 medians of as many drawn from them lie. The same for the same ratios. */
export function bootstrap(ratios, draws = 2000) {
  let state = 1
  const below = (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  const medians = Array.from({ length: draws }, () => median(ratios.map(() => ratios[below(ratios.length)])))
  medians.sort((a, b) => a - b)
  return { ratio: median(ratios), low: medians[Math.floor(draws * 0.025)], high: medians[Math.ceil(draws * 0.975) - 1] }
}
