// Measures the memory of a process after a million random operations, less that of the same process with an empty
// cache: as a share of 1.5 × maxBytes + 40 MB, and per cached byte against that of a bare lru-cache with the same
// limit. Run `npm run build` first.
import { inFreshProcess, showWhenAlone } from './compare.mjs'
import { median, summarise } from '../statistics.mjs'

const MB = 1_000_000
/** A process takes a quarter of a minute, and results differ by a few percent between processes. */
const MAX_PROCESSES = 5
const AT_END = 'memory at the end of a million operations'

export async function rows({ rounds }) {
  const run = (...args) => inFreshProcess(new URL('memory-process.mjs', import.meta.url), { args })
  const processes = Array.from({ length: Math.min(rounds, MAX_PROCESSES) }, () => ({ ours: run(), bare: run('bare') }))
  const ours = processes.map((pair) => pair.ours)
  const bare = processes.map((pair) => pair.bare)
  const perByte = (result) => addedTo(result, 'after') / result.bytes
  return [
    {
      name: `${AT_END}, per cached byte: against a bare lru-cache`,
      target: { atMost: 1.05 },
      ...summarise(processes.map((pair) => perByte(pair.ours) / perByte(pair.bare))),
      ours: `${median(ours.map(perByte)).toFixed(2)} B`,
      theirs: `${median(bare.map(perByte)).toFixed(2)} B`
    },
    limitRow(AT_END, ours, 'after'),
    limitRow('memory at the peak', ours, 'peak'),
    limitRow('memory at the end with a bare lru-cache', bare, 'after')
  ].map((row) => ({ ...row, better: 'lower' }))
}

/** Returns the resident memory that the operations have added. */
function addedTo(result, figure) {
  return result[figure] - result.empty
}

function limitRow(what, results, figure) {
  const limit = ({ maxBytes }) => 1.5 * maxBytes + 40 * MB
  return {
    name: `${what}, against 1.5 × maxBytes + 40 MB`,
    target: null,
    ...summarise(results.map((result) => addedTo(result, figure) / limit(result))),
    ours: `${(median(results.map((result) => addedTo(result, figure))) / MB).toFixed(0)} MB`,
    theirs: `${(limit(results[0]) / MB).toFixed(0)} MB`
  }
}

await showWhenAlone(import.meta.url, rows)
