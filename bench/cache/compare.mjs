// Common to all suites of the cache: compares two measurements, and shows the rows of a module that runs alone.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { readArguments } from '../../scripts/arguments.mjs'
import { median, summarise } from '../statistics.mjs'

const ALONE_ROUNDS = 15
/** Small enough to stay in the processor's cache until it is used. */
const CHUNK = 1000

/**
 * Divides what `a` measures by what `b` measures, in each round: A B B A, so that a machine that slows down slows
 * both. Both return their measurement. Before the first round, each runs once without being counted.
 */
export async function compare(name, rounds, a, b, target = null) {
  await a()
  await b()
  const ratios = []
  const seen = { a: [], b: [] }
  for (let round = 0; round < rounds; round += 1) {
    const [a1, b1, b2, a2] = [await a(), await b(), await b(), await a()]
    ratios.push((a1 + a2) / (b1 + b2))
    seen.a.push(a1, a2)
    seen.b.push(b1, b2)
  }
  const [ours, theirs] = [figure(median(seen.a)), figure(median(seen.b))]
  return { name, ...summarise(ratios), target, better: 'lower', ours, theirs }
}

function figure(value) {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en')
}

/**
 * Runs `calls` calls of `work` and returns the nanoseconds of CPU time of one call. Nothing here waits, and other
 * processes change CPU time less than elapsed time. Concurrent garbage collection counts too.
 */
export async function nsPerCall(calls, work) {
  const began = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(began)
  return ((user + system) * 1000) / calls
}

/** Does the same for one call per element of `order`. The arguments come from `make`, outside of the measurement. */
export async function nsPerCallOfChunks(order, make, work) {
  let ns = 0
  for (let from = 0; from < order.length; from += CHUNK) {
    const made = Array.from(order.subarray(from, from + CHUNK), make)
    ns += await nsPerCall(1, () => work(made))
  }
  return ns / order.length
}

/** Runs a module in a new process, without leftovers of others, and returns the JSON that it prints. */
export function inFreshProcess(url, { flags = [], args = [], env = {} } = {}) {
  const argv = [...flags, fileURLToPath(url), ...args]
  const options = { encoding: 'utf8', env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'inherit'] }
  return JSON.parse(execFileSync(process.execPath, argv, options))
}

/** Shows the rows of a suite if its module is the main one; `node bench/cache/hit.mjs 30` runs 30 rounds. */
export async function showWhenAlone(url, rows) {
  if (process.argv[1] !== fileURLToPath(url)) return
  const [rounds = ALONE_ROUNDS] = readArguments(`Usage: node ${fileURLToPath(url)} [ROUNDS]`, 1)
  for (const row of await rows({ rounds: Number(rounds) })) {
    const [ratio, low, high] = [row.ratio, row.low, row.high].map((value) => value.toFixed(3))
    const figures = row.ours === undefined ? '' : ` (${row.ours}, ${row.theirs})`
    console.log(`${ratio} [${low}, ${high}] ${row.name}${figures}${verdict(row)}`)
  }
}

function verdict({ ratio, target }) {
  if (target === null) return ''
  const [[bound, limit]] = Object.entries(target)
  const met = bound === 'atLeast' ? ratio >= limit : ratio <= limit
  return `: ${met ? 'met' : 'MISSED'}, ${bound === 'atLeast' ? 'at least' : 'at most'} ${limit}`
}
