// `npm run bench` runs all comparisons; bench/README.md explains the results.
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { resultOf, tableOf } from './table.mjs'

const HELP = `Usage: npm run bench [-- OPTIONS]

  --rows PATTERN   only rows whose names, or whose suites' names, match this regular expression
  --rounds N       default 9; fewer are faster and less precise
  --short          one round with short warm-ups: to see that a row works
  --json FILE      writes the rows as JSON
  --before FILE    adds the ratios of another run, from the JSON that it has written

Suites: `

/**
 * The `rows` of each module returns rows: `{ name, ratio, low, high, target: { atLeast } | { atMost } | null }`. A whole
 * suite runs only by its name, the others measure the rows that are wanted.
 */
const SUITES = [
  { name: 'HTTP', path: './http/hits.mjs' },
  { name: 'requests to providers', path: './freshness/calls.mjs' },
  { name: 'covered look-ups', path: './freshness/lookups.mjs', isWhole: true },
  { name: 'delays', path: './freshness/delay.mjs' },
  { name: 'many users', path: './http/many-users.mjs' },
  { name: 'mixed load', path: './http/mixed-load.mjs' },
  { name: 'cache hits', path: './cache/hit.mjs' },
  { name: 'growth', path: './cache/growth.mjs' },
  { name: 'allocation', path: './cache/allocation.mjs', isWhole: true },
  { name: 'memory', path: './cache/memory.mjs', isWhole: true },
  { name: 'import', path: './import-time.mjs', isWhole: true }
]

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '' },
    rounds: { type: 'string' },
    short: { type: 'boolean', default: false },
    json: { type: 'string' },
    before: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false }
  }
})
if (values.help) {
  console.log(HELP + SUITES.map(({ name }) => name).join(', '))
  process.exit()
}
const rounds = Number(values.rounds ?? (values.short ? 1 : 9))
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error('--rounds requires a positive integer')
const pattern = new RegExp(values.rows, 'i')
const before = values.before === undefined ? [] : JSON.parse(readFileSync(values.before, 'utf8')).rows

const began = performance.now()
const progress = (text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

const rows = []
for (const { name, path, isWhole = false } of SUITES) {
  const wanted = pattern.test(name) ? () => true : (row) => pattern.test(row)
  if (isWhole && !wanted('')) continue
  progress(name)
  const suite = await import(path)
  rows.push(...(await suite.rows({ rounds, isShort: values.short, wanted, progress })))
  // After each suite, so that a failure of the next one loses nothing.
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ rows: rows.map(resultOf) }, null, 2)}\n`)
}
progress('')

const minutes = ((performance.now() - began) / 60_000).toFixed(1)
const machine = `Node ${process.version}, ${cpus().length} × ${cpus()[0].model}, load ${loadavg()[0].toFixed(1)}`
console.log(`${machine}; ${rounds} rounds, ${minutes} minutes\n`)
console.log(tableOf(rows, new Map(before.map(({ name, ratio }) => [name, ratio]))))
