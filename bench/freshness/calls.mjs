// Compares the requests to a provider in an hour of an active user, with checks for changes and with a TTL alone: the
// default of 60 seconds, which shows changes later, and the interval of the checks, which shows them as early. Time is
// simulated, so that the figures depend neither on the machine nor on its load.
import { inFreshProcess } from '../cache/compare.mjs'
import { median, summarise } from '../statistics.mjs'
import { PROVIDERS } from './providers.mjs'

/** Made by others, anywhere in the account. */
const CHANGES_PER_HOUR = [0, 60]
const PEERS = [
  { name: 'a TTL of 60 s', ttlMs: 60_000 },
  { name: 'a TTL of the same interval', ttlMs: null }
]
const PROCESS = new URL('calls-process.mjs', import.meta.url)

export async function rows({ rounds, wanted, progress }) {
  const found = []
  for (const changesPerHour of CHANGES_PER_HOUR) {
    for (const { id } of PROVIDERS) {
      const nameOf = (peer) => `requests of a user and hour: ${id}, ${changesPerHour} changes, checks against ${peer}`
      const peers = PEERS.filter(({ name }) => wanted(nameOf(name)))
      if (peers.length === 0) continue
      progress(`requests of a user and hour: ${id}, ${changesPerHour} changes`)
      const resultsOf = (settings) =>
        Array.from({ length: rounds }, (_, seed) => requestsOf({ id, seed: seed + 1, changesPerHour, ...settings }))
      const checked = resultsOf({ isChecked: true, ttlMs: 60_000 })
      for (const { name, ttlMs } of peers) {
        const expiring = resultsOf({ isChecked: false, ttlMs })
        found.push({
          name: nameOf(name),
          target: null,
          better: 'lower',
          ...summarise(checked.map((result, round) => sumOf(result) / sumOf(expiring[round]))),
          ours: describe(checked),
          theirs: describe(expiring)
        })
      }
    }
  }
  return found
}

function requestsOf(settings) {
  return inFreshProcess(PROCESS, { flags: ['--import', 'tsx'], args: [JSON.stringify(settings)] })
}

const sumOf = ({ listFolder, position, changes, isCurrent }) => listFolder + position + changes + isCurrent

/** Returns the medians of the rounds: checks, positions, listings. */
function describe(results) {
  const middle = (figure) => median(results.map(figure)).toFixed(0)
  const checks = middle(({ changes, isCurrent }) => changes + isCurrent)
  const positions = middle(({ position }) => position)
  return `${checks} + ${positions} + ${middle(({ listFolder }) => listFolder)}`
}
