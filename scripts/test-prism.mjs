// Runs the tests that call routes with every request sent through Prism, which compares it and its response with the
// description of the ready-made server: it also contains the plugin's routes. Prism must be on the PATH, where
// `npm run test:prism` puts it. Test files may be named.
import { readArguments } from './arguments.mjs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { tsImport } from 'tsx/esm/api'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const OF_SERVER = [
  'api-docs',
  'app',
  'authentication',
  'content-route',
  'documents-routes',
  'documents-uploads',
  'page-routes'
]

const tests = (folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `${folder}/${name}`)
const named = readArguments(
  'Usage: npm run test:prism [-- FILE …]\n\nSends the requests of tests through Prism.',
  Infinity
)
const all = [...tests('test/client'), ...tests('test/http'), ...OF_SERVER.map((name) => `test/server/${name}.test.ts`)]
const files = named.length > 0 ? named : all

/**
 * Forwards requests by a header: Prism has one upstream, but each test has its own app. Sends no bodies: the app has
 * the body already, and Prism announces a body that it does not send if that is the JSON `null`.
 */
const switchboard = createServer((asked, answer) => {
  const { 'content-length': _length, 'transfer-encoding': _coding, ...headers } = asked.headers
  const where = { host: '127.0.0.1', port: headers['x-app'], method: asked.method, path: asked.url, headers }
  const passed = httpRequest(where, (said) => {
    answer.writeHead(said.statusCode, said.headers)
    said.pipe(answer)
    said.once('error', () => answer.destroy())
  })
  passed.once('error', () => answer.destroy()).end()
  asked.resume()
}).listen(0, '127.0.0.1')
await once(switchboard, 'listening')

const folder = mkdtempSync(join(tmpdir(), 'prism-'))
const description = join(folder, 'openapi.json')
const { describeServer } = await tsImport('../test/support/openapi/describe-server.ts', import.meta.url)
writeFileSync(description, await describeServer())

const upstream = `http://127.0.0.1:${switchboard.address().port}`
const prism = spawn('prism', ['proxy', description, upstream, '--port=0', '--cors=false'], {
  cwd: ROOT,
  stdio: ['ignore', 'pipe', 'inherit']
})
let run
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
process.once('exit', () => {
  prism.kill()
  run?.kill()
  rmSync(folder, { recursive: true })
})
prism.once('exit', (code) => {
  console.error(`Prism has ended with ${code}`)
  process.exit(1)
})

const url = await new Promise((resolve) => {
  createInterface(prism.stdout).on('line', (line) => {
    const [, found] = /Prism is listening on (http:\S+)/.exec(line) ?? []
    if (found !== undefined) resolve(found)
  })
})

const record = join(folder, 'judged.jsonl')
writeFileSync(record, '')
run = spawn(process.execPath, [join(ROOT, 'scripts/tests/run.mjs'), ...files], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...process.env, PRISM_URL: url, PRISM_RECORD: record }
})
const [status] = await once(run, 'exit')

const lines = readFileSync(record, 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line))
const judged = lines.filter(({ request }) => request !== undefined)
const left = new Map(lines.filter(({ leftOut }) => leftOut !== undefined).map(({ test, leftOut }) => [test, leftOut]))

const isOfRequest = ({ location: [where] }) => where === 'request'
const isOfOwnForm = ({ location: [where, part] }) => where === 'request' && part === 'body'
/** Returns the mismatches. A route may reject a request that Prism reports, but must not accept it. */
const mismatchesOf = ({ violations, status, isOwnForm }) =>
  violations.filter((one) => (isOfRequest(one) ? status < 400 && !(isOwnForm && isOfOwnForm(one)) : true))

/** Returns whether there is no such route. Another test checks that all routes are described. */
const isUndescribed = ({ violations }) => violations.some(({ message }) => message === 'Selected route not found')
const described = judged.filter((one) => one.isOurs && !isUndescribed(one))
const unjudged = described.filter(({ unjudged }) => unjudged !== null)
const told = described.filter(({ unjudged }) => unjudged === null)
const wrong = told.filter((one) => mismatchesOf(one).length > 0)
const stricter = told.filter(
  ({ code, violations, isOwnForm }) => code === 'INVALID_REQUEST' && !isOwnForm && !violations.some(isOfRequest)
)

const show = ({ test, request, status, code }, words) =>
  `  ${request.slice(0, 200)} ${status} ${code ?? ''}\n    in ${test}\n${words.map((word) => `    ${word}\n`).join('')}`
const section = (title, shown) => {
  if (shown.length > 0) console.log(`\n${title}\n${shown.join('')}`)
}

section(
  'Skipped:',
  [...left].map(([test, reason]) => `  ${test}: ${reason}\n`)
)
section(
  'Prism could not check:',
  unjudged.map((one) => show(one, [one.unjudged]))
)
section(
  'Rejected although Prism found no violation:',
  stricter.map((one) => show(one, []))
)
section(
  'Mismatches:',
  wrong.map((one) =>
    show(
      one,
      mismatchesOf(one).map(({ location, message }) => `${location.join('.')}: ${message}`)
    )
  )
)
console.log(
  [
    `\n${told.length} requests of ${new Set(told.map(({ test }) => test)).size} tests were checked by Prism`,
    `${unjudged.length} could not be checked`,
    `${judged.length - described.length} were for other routes`,
    `${left.size} tests were skipped`,
    `${wrong.length} mismatches`
  ].join(', ')
)
process.exit(status === 0 && wrong.length === 0 && told.length > 0 ? 0 : 1)
