// Compares the requests to a provider in an hour of an active user, with checks for changes and with the TTL alone. Time
// is simulated, so that the figures depend neither on the machine nor on its load.
import { inFreshProcess } from '../cache/compare.mjs'
import { median, summarise } from '../statistics.mjs'
import { PROVIDERS } from './providers.mjs'

/** Made by others, anywhere in the account. */
const CHANGES_PER_HOUR = [0, 60]
const PROCESS = new URL('calls-process.mjs', import.meta.url)

export async function rows({ rounds, wanted, progress }) {
  const found = []
  for (const changesPerHour of CHANGES_PER_HOUR) {
    for (const { id } of PROVIDERS) {
      const name = `requests of a user and hour: ${id}, ${changesPerHour} changes, checks against ttlMs 60,000`
      if (!wanted(name)) continue
      progress(name)
      const results = Array.from({ length: rounds }, (_, seed) =>
        [true, false].map((isChecked) => requestsOf({ id, seed: seed + 1, isChecked, changesPerHour }))
      )
      found.push({
        name,
        target: null,
        better: 'lower',
        ...summarise(results.map(([checked, expiring]) => sumOf(checked) / sumOf(expiring))),
        ours: describe(results.map(([checked]) => checked)),
        theirs: describe(results.map(([, expiring]) => expiring))
      })
    }
  }
  return found
}

function requestsOf(settings) {
  return inFreshProcess(PROCESS, { flags: ['--import', 'tsx'], args: [JSON.stringify(settings)] })
}

const sumOf = ({ listFolder, position, changes, isCurrent }) => listFolder + position + changes + isCurrent

/** Returns the medians of the rounds. */
function describe(results) {
  const middle = (figure) => median(results.map(figure)).toFixed(0)
  const checks = middle(({ changes, isCurrent }) => changes + isCurrent)
  const positions = middle(({ position }) => position)
  return `${checks} checks, ${positions} positions, ${middle(({ listFolder }) => listFolder)} listings`
}
