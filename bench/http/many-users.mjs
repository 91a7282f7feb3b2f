// Measures how the cost of hits grows with the number of users who ask: the CPU time and the latency at an equal rate
// of requests, and the statements that the instance sends to the database, which counts them.
import { interleave } from '../interleave.mjs'
import { startLoad, startPostgres, startServer } from '../process.mjs'
import { median, summarise } from '../statistics.mjs'

const PATH = '/cloud/bench/listing?folder=f20-1'
/** Seconds between two requests of a user. */
const INTERVAL = 5
/** The plugin's default. */
const LEASE_SECONDS = 2
/** So many that none of them is ever waited for. */
const CONNECTIONS = 256

const FEW = 4
const MANY = 2000
const RATE = MANY / INTERVAL
const WARM_REQUESTS = 20_000
const SHORT_WARM_REQUESTS = 2000

const ACTIVE_USERS = [10, 1000, 10_000]
const COUNT_SECONDS = 20
/** Counts differ little between rounds. */
const COUNT_ROUNDS = 3
const POLL = /pg_current_snapshot/

/** Room for the folders of all users, so that no hit becomes a miss. */
const CACHE = { max: 20_000, ttlMs: 3_600_000, maxBytes: 1024 ** 3 }

const SPREAD = `hit, 20 entries, ${RATE} requests/s: ${MANY.toLocaleString('en')} users against ${FEW}`
const SPREAD_ROWS = [
  { figure: 'cpu', name: `${SPREAD}, CPU`, target: { atMost: 1.15 }, format: (value) => `${value.toFixed(0)} µs` },
  { figure: 'p50', name: `${SPREAD}, p50`, target: null, format: milliseconds },
  { figure: 'p99', name: `${SPREAD}, p99`, target: { atMost: 2 }, format: milliseconds }
]
const STATEMENTS = 'statements/s of an instance'
const COUNT_ROWS = [
  // Ten users ask twice per second, so that a poll that is due waits for up to half a second: half of its interval.
  { name: `${STATEMENTS}: 10,000 users against 10`, of: 10_000, against: 10, target: { atMost: 1.5 } },
  { name: `${STATEMENTS}: 10,000 users against 1,000`, of: 10_000, against: 1000, target: { atMost: 1.1 } }
]
const POLLS = 'polls of an instance per lease, 10,000 users'
const POLLS_TARGET = { atMost: 1 }

export async function rows({ rounds, isShort, wanted, progress }) {
  const spreadRows = SPREAD_ROWS.filter(({ name }) => wanted(name))
  const isCounted = [...COUNT_ROWS.map(({ name }) => name), POLLS].some(wanted)
  if (spreadRows.length === 0 && !isCounted) return []

  const users = isCounted ? ACTIVE_USERS.at(-1) : MANY
  progress(`many users: connecting ${users} users`)
  const postgres = await startPostgres({ counts: isCounted })
  const databaseUrl = await postgres.createDatabase()
  const server = await startServer('plugin', { users, cache: CACHE, databaseUrl })
  const load = await startLoad()
  try {
    const burst = (amount, active) => ask(load, server, 'burst', { amount, users: active })
    await burst(users, users)
    for (const active of [FEW, MANY]) await burst(isShort ? SHORT_WARM_REQUESTS : WARM_REQUESTS, active)
    const found = []
    if (spreadRows.length > 0) {
      const results = []
      for (let round = 1; round <= rounds; round += 1) {
        progress(`many users: round ${round} of ${rounds}`)
        results.push(await interleave([MANY, FEW], 1, (active) => measure(load, server, RATE * INTERVAL, RATE, active)))
      }
      found.push(...spreadRows.map((row) => spreadRow(row, results)))
    }
    if (isCounted) {
      const seconds = isShort ? INTERVAL : COUNT_SECONDS
      const results = []
      for (let round = 0; round < Math.min(rounds, COUNT_ROUNDS) && postgres.canCount; round += 1) {
        progress(`many users: counting statements, round ${round + 1}`)
        results.push(await countRound(postgres, databaseUrl, load, server, seconds))
      }
      found.push(...countRows(results))
    }
    return found
  } finally {
    load.stop()
    server.stop()
    postgres.stop()
  }
}

/** Returns CPU time per hit in microseconds, and the latency in milliseconds. */
async function measure(load, server, amount, rate, users) {
  const before = await server.cpuMs()
  const { sinceSent, ranOut } = await ask(load, server, 'paced', { amount, rate, users })
  const cpuMs = (await server.cpuMs()) - before
  if (ranOut) throw new Error('requests waited for a connection of the load generator: the latency is not the server’s')
  return { cpu: (cpuMs * 1000) / amount, ...sinceSent }
}

async function ask(load, server, job, details) {
  const result = await load.ask(job, { port: server.port, connections: CONNECTIONS, path: PATH, ...details })
  if (result.statuses[200] !== details.amount) throw new Error(`hits returned ${JSON.stringify(result.statuses)}`)
  return result
}

function spreadRow({ figure, name, target, format }, results) {
  return {
    name,
    target,
    better: 'lower',
    ...summarise(results.map(([many, few]) => many[figure] / few[figure])),
    ours: format(median(results.map(([many]) => many[figure]))),
    theirs: format(median(results.map(([, few]) => few[figure])))
  }
}

/** Returns the statements and polls per second by the number of active users, who ask every five seconds. */
async function countRound(postgres, databaseUrl, load, server, seconds) {
  const perSecond = new Map()
  for (const active of ACTIVE_USERS) {
    const rate = active / INTERVAL
    await postgres.takeCounts(databaseUrl)
    await ask(load, server, 'paced', { amount: rate * seconds, rate, users: active })
    const counts = await postgres.takeCounts(databaseUrl)
    const sum = (rows) => rows.reduce((total, { calls }) => total + calls, 0) / seconds
    perSecond.set(active, { statements: sum(counts), polls: sum(counts.filter(({ query }) => POLL.test(query))) })
  }
  return perSecond
}

function countRows(results) {
  if (results.length === 0) {
    const note = 'PostgreSQL with pg_stat_statements is not installed'
    return [...COUNT_ROWS, { name: POLLS, target: POLLS_TARGET }].map(({ name, target }) => {
      return { name, target, better: 'lower', ratio: null, low: null, high: null, note }
    })
  }
  const perSecond = (figure, users) => results.map((result) => result.get(users)[figure])
  const polls = perSecond('polls', ACTIVE_USERS.at(-1)).map((value) => value * LEASE_SECONDS)
  return [
    ...COUNT_ROWS.map(({ name, of, against, target }) => {
      const [ours, theirs] = [perSecond('statements', of), perSecond('statements', against)]
      return {
        name,
        target,
        better: 'lower',
        ...summarise(ours.map((value, round) => value / theirs[round])),
        ours: `${median(ours).toFixed(2)} /s`,
        theirs: `${median(theirs).toFixed(2)} /s`
      }
    }),
    // Without any poll the target is not reached either: something else is read per user.
    median(polls) === 0
      ? {
          name: POLLS,
          target: POLLS_TARGET,
          better: 'lower',
          ratio: null,
          low: null,
          high: null,
          note: 'it never polls'
        }
      : { name: POLLS, target: POLLS_TARGET, better: 'lower', ...summarise(polls) }
  ]
}

function milliseconds(value) {
  return `${value.toFixed(2)} ms`
}
