// Compares how late a reader who asks every second sees a change at the provider, with checks and with the TTL alone. Time
// is simulated.
import { inFreshProcess } from '../cache/compare.mjs'
import { quantile, summarise } from '../statistics.mjs'
import { PROVIDERS } from './providers.mjs'

const CHANGES = 200
const SHORT_CHANGES = 100
const QUANTILES = { p50: 0.5, p99: 0.99 }
const PROCESS = new URL('delay-process.mjs', import.meta.url)

export async function rows({ rounds, isShort, wanted, progress }) {
  const found = []
  for (const { id, lagMs } of PROVIDERS) {
    for (const lag of lagMs === 0 ? [0] : [0, lagMs]) {
      const feed = lag === 0 ? '' : `, feed ${lag / 1000} s late`
      const nameOf = (figure) => `delay of a change: ${id}${feed}, checks against ttlMs 60,000, ${figure}`
      const figures = Object.keys(QUANTILES).filter((figure) => wanted(nameOf(figure)))
      if (figures.length === 0) continue
      progress(`delay of a change: ${id}${feed}`)
      const changes = isShort ? SHORT_CHANGES : CHANGES
      const results = Array.from({ length: rounds }, (_, seed) =>
        [true, false].map((isChecked) => delaysOf({ id, seed: seed + 1, isChecked, lagMs: lag, changes }))
      )
      found.push(...figures.map((figure) => rowOf(nameOf(figure), QUANTILES[figure], results)))
    }
  }
  return found
}

function delaysOf(settings) {
  return inFreshProcess(PROCESS, { flags: ['--import', 'tsx'], args: [JSON.stringify(settings)] })
}

function rowOf(name, share, results) {
  const seconds = (delays) => `${(quantile(delays, share) / 1000).toFixed(1)} s`
  return {
    name,
    target: null,
    better: 'lower',
    ...summarise(results.map(([checked, expiring]) => quantile(checked, share) / quantile(expiring, share))),
    ours: seconds(results.flatMap(([checked]) => checked)),
    theirs: seconds(results.flatMap(([, expiring]) => expiring))
  }
}
