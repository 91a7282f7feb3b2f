// Measures the memory of a process after a million random operations, less that of the same process with an empty
// cache, as a share of 1.5 × maxBytes + 40 MB. Run `npm run build` first.
import { inFreshProcess, showWhenAlone } from './compare.mjs'
import { median, summarise } from '../statistics.mjs'

const MB = 1_000_000
/** One process takes a while, and results differ little between processes. */
const ROUNDS_PER_PROCESS = 15

export async function rows({ rounds }) {
  const processes = Math.ceil(rounds / ROUNDS_PER_PROCESS)
  const run = (...args) =>
    Array.from({ length: processes }, () => inFreshProcess(new URL('memory-process.mjs', import.meta.url), { args }))
  const [ours, bare] = [run(), run('bare')]
  return [
    row('at the end of a million operations', ours, 'after', { atMost: 1 }),
    row('at the peak', ours, 'peak'),
    row('at the end with a bare lru-cache', bare, 'after')
  ]
}

function row(what, processes, figure, target = null) {
  const ratios = processes.map(({ empty, maxBytes, [figure]: rss }) => (rss - empty) / (1.5 * maxBytes + 40 * MB))
  const added = processes.map(({ empty, [figure]: rss }) => (rss - empty) / MB)
  const ours = `${median(added).toFixed(0)} MB`
  const allowed = processes.map(({ maxBytes }) => (1.5 * maxBytes) / MB + 40)
  const theirs = `${median(allowed).toFixed(0)} MB`
  return { name: `memory ${what}, against 1.5 × maxBytes + 40 MB`, ...summarise(ratios), target, ours, theirs }
}

await showWhenAlone(import.meta.url, rows)
