// `npm run bench`: everything that is compared, in one run; bench/README.md says how to read it.
//
//   --json FILE      the rows, as JSON
//   --rounds N       fewer is faster and says less
//   --only PATTERN   a regular expression, for names of rows
import { writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { rows as hits } from './http/hits.mjs'
import { rows as mixedLoad } from './http/mixed-load.mjs'
import { resultOf, tableOf } from './table.mjs'

/** Each gives rows: `{ name, ratio, low, high, target: { atLeast } | { atMost } | null }`. */
const SUITES = [hits, mixedLoad]

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    rounds: { type: 'string', default: '9' },
    only: { type: 'string', default: '' }
  }
})
const rounds = Number(values.rounds)
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error('--rounds takes a number from 1')
const pattern = new RegExp(values.only, 'i')
const wanted = (name) => pattern.test(name)

const began = performance.now()
const progress = (text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

const rows = []
for (const suite of SUITES) rows.push(...(await suite({ rounds, wanted, progress })))
progress('')
const shown = rows.filter(({ name }) => wanted(name))

const minutes = ((performance.now() - began) / 60_000).toFixed(1)
const machine = `Node ${process.version}, ${cpus().length} × ${cpus()[0].model}, load ${loadavg()[0].toFixed(1)}`
console.log(`${machine}; ${rounds} rounds, ${minutes} minutes\n\n${tableOf(shown)}`)
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ rows: shown.map(resultOf) }, null, 2)}\n`)
