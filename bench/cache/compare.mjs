// What all suites of the cache share: how two are compared, how a module that is run alone shows its rows.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { readArguments } from '../../scripts/arguments.mjs'
import { median, summarise } from '../statistics.mjs'

const ALONE_ROUNDS = 15
/** So few that they are still in the processor's cache when they are looked at. */
const CHUNK = 1000

/**
 * How many times what `b` measures goes into what `a` does, round by round: A B B A, so that a machine that slows down
 * slows both. What is measured is whatever they return, and before the first round each runs once for nothing.
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
  return { name, ...summarise(ratios), target, ours: figure(median(seen.a)), theirs: figure(median(seen.b)) }
}

function figure(value) {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en')
}

/**
 * Runs `calls` calls of `work` and says how many nanoseconds one took. Of the processor's time: nothing here waits, and
 * what else a machine does changes it less than the clock on the wall. Collecting garbage beside it counts too.
 */
export async function nsPerCall(calls, work) {
  const began = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(began)
  return ((user + system) * 1000) / calls
}

/** The same for one call per element of `order`: what it is made with comes from `make`, outside of what is timed. */
export async function nsPerCallOfChunks(order, make, work) {
  let ns = 0
  for (let from = 0; from < order.length; from += CHUNK) {
    const made = Array.from(order.subarray(from, from + CHUNK), make)
    ns += await nsPerCall(1, () => work(made))
  }
  return ns / order.length
}

/** What a module prints as JSON in a process of its own, where nothing is left over from others. */
export function inFreshProcess(url, { flags = [], args = [], env = {} } = {}) {
  const argv = [...flags, fileURLToPath(url), ...args]
  const options = { encoding: 'utf8', env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'inherit'] }
  return JSON.parse(execFileSync(process.execPath, argv, options))
}

/** Shows the rows of a suite whose module was started itself; `node bench/cache/hit.mjs 30` runs 30 rounds. */
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
