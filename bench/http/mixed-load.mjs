// Runs the mix of `load/mix.mjs` at 70 % of the server's maximum rate, and compares the 99th percentile of the
// latency with the median. Both rates belong to one round, since a busy machine changes them together.
import { startLoad, startPostgres, startServer } from '../process.mjs'
import { median, summarise } from '../statistics.mjs'
import { USERS } from '../users.mjs'

const NAME = 'mixed load at 70 %: p99 through p50 of the latency'
const TARGET = { atMost: 6 }
const SHARE = 0.7
/** A server that responds at less than this share of the requested rate is not at 70 %: the machine was busier. */
const KEPT_UP = 0.95
const CONNECTIONS = 16
const PACED_CONNECTIONS = 64
const CLOSED_SECONDS = 0.5
const PACED_SECONDS = 1.5
/** About 80,000 requests: one in twenty is a miss, and the compiler needs thousands of misses. */
const WARM_BURSTS = 40
const SHORT_WARM_BURSTS = 4
/** Room for all folders of the mix, so that no hit becomes a miss. */
const CACHE = { max: 10_000, ttlMs: 3_600_000, maxBytes: 1024 ** 3 }

export async function rows({ rounds, isShort, wanted, progress }) {
  if (!wanted(NAME)) return []
  progress('mixed load: starting, filling')
  const postgres = await startPostgres()
  const server = await startServer('plugin', {
    users: USERS,
    cache: CACHE,
    databaseUrl: await postgres.createDatabase()
  })
  const load = await startLoad()
  const { port } = server
  try {
    await load.ask('mixFill', { port, connections: CONNECTIONS })
    let rate = 1000
    const reachRate = async () => {
      const amount = Math.round(rate * CLOSED_SECONDS)
      const { seconds, statuses } = await load.ask('mixBurst', { port, connections: CONNECTIONS, amount })
      check(statuses, amount)
      rate = amount / seconds
    }
    for (let count = 0; count < (isShort ? SHORT_WARM_BURSTS : WARM_BURSTS); count += 1) await reachRate()
    const results = []
    let tries = 0
    for (; results.length < rounds && tries < 3 * rounds; tries += 1) {
      progress(`round ${results.length + 1} of ${rounds}: mixed load`)
      await reachRate()
      const amount = Math.round(rate * SHARE * PACED_SECONDS)
      const details = { port, connections: PACED_CONNECTIONS, amount, rate: rate * SHARE }
      const { p50, p99, reached, statuses } = await load.ask('mixPaced', details)
      check(statuses, amount)
      if (reached >= rate * SHARE * KEPT_UP) results.push({ rate: rate * SHARE, p50, p99 })
    }
    const row = { name: NAME, target: TARGET, better: 'lower' }
    const dropped = `${tries - results.length} of ${tries} rounds dropped: the server did not keep up`
    if (results.length === 0) return [{ ...row, ratio: null, low: null, high: null, note: dropped }]
    const middle = (name) => median(results.map((result) => result[name]))
    return [
      {
        ...row,
        ...summarise(results.map(({ p50, p99 }) => p99 / p50)),
        ours: `${middle('p99').toFixed(2)} ms`,
        theirs: `${middle('p50').toFixed(2)} ms`,
        note: `${middle('rate').toFixed(0)} /s, ${postgres.isInstalled ? 'PostgreSQL' : 'embedded database'}, ${dropped}`
      }
    ]
  } finally {
    load.stop()
    server.stop()
    postgres.stop()
  }
}

function check(statuses, amount) {
  if ((statuses[200] ?? 0) + (statuses[304] ?? 0) !== amount) {
    throw new Error(`the requests of the mix returned ${JSON.stringify(statuses)}`)
  }
}
