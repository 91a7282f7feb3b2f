// `npm run bench` runs all comparisons; bench/README.md explains the results.
//
//   --json FILE      writes the rows as JSON
//   --rounds N       fewer rounds are faster and less precise
//   --only PATTERN   a regular expression for names of rows and of suites
import { writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { rows as allocation } from './cache/allocation.mjs'
import { rows as growth } from './cache/growth.mjs'
import { rows as cacheHits } from './cache/hit.mjs'
import { rows as memory } from './cache/memory.mjs'
import { rows as hits } from './http/hits.mjs'
import { rows as mixedLoad } from './http/mixed-load.mjs'
import { rows as importTime } from './import-time.mjs'
import { resultOf, tableOf } from './table.mjs'

/** Each returns rows: `{ name, ratio, low, high, target: { atLeast } | { atMost } | null }`. */
const SUITES = [
  ['HTTP', hits],
  ['mixed load', mixedLoad],
  ['cache hits', alone(cacheHits)],
  ['growth', alone(growth)],
  ['allocation', alone(allocation)],
  ['memory', alone(memory)],
  ['import', alone(importTime)]
]

/** Makes a suite run completely or not at all. */
function alone(measure) {
  return async ({ rounds, wanted }) => (wanted('') ? measure({ rounds }) : [])
}

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    rounds: { type: 'string', default: '9' },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', short: 'h', default: false }
  }
})
if (values.help) {
  console.log('Usage: npm run bench [-- --json FILE --rounds N --only PATTERN]')
  process.exit()
}
const rounds = Number(values.rounds)
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error('--rounds requires a positive integer')
const pattern = new RegExp(values.only, 'i')
const wanted = (name) => pattern.test(name)

const began = performance.now()
const progress = (text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

const rows = []
for (const [suite, measure] of SUITES) {
  // A suite whose name matches runs completely. The others start only the servers that their rows need.
  const isWanted = wanted(suite) ? () => true : wanted
  const found = await measure({ rounds, wanted: isWanted, progress })
  rows.push(...found.filter(({ name }) => isWanted(name)))
}
progress('')

const minutes = ((performance.now() - began) / 60_000).toFixed(1)
const machine = `Node ${process.version}, ${cpus().length} × ${cpus()[0].model}, load ${loadavg()[0].toFixed(1)}`
console.log(`${machine}; ${rounds} rounds, ${minutes} minutes\n\n${tableOf(rows)}`)
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ rows: rows.map(resultOf) }, null, 2)}\n`)
