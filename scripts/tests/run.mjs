// Runs the tests: `node scripts/tests/run.mjs [--suite FOLDER] [--watch] [--isolate] [--jobs N] [--list] [file or folder …]`.
//
// Without files or folders it runs those of `--suite`, and without a suite all that need neither servers nor a browser.
// Sources and tests are compiled once. The test files of one folder share a process, and with it the loaded modules and
// the database; `--isolate` starts a process for each file. A few processes run at a time. Prints a line per file, every
// failure, and the slowest files.
import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { existsSync, readdirSync, statSync, watch } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import pLimit from 'p-limit'
import { Parser } from 'tap-parser'
import { stringify } from 'tap-yaml'
import { COMPILED, createCompiler, FOLDERS, ROOT } from './compile.mjs'

const PROCESS = fileURLToPath(new URL('process.mjs', import.meta.url))
/** These need servers or a browser and have commands of their own. */
const OTHER_SUITES = ['test/services', 'test/browser']
const SLOWEST = 10

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    suite: { type: 'string' },
    list: { type: 'boolean', default: false },
    watch: { type: 'boolean', default: false },
    isolate: { type: 'boolean', default: false },
    jobs: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false }
  }
})
if (options.help) {
  console.log('Usage: npm test [-- [--watch] [--isolate] [--jobs N] [--list] FILE|FOLDER …]')
  console.log('Also for npm run test:browser and npm run test:services. --list prints the files without running them.')
  process.exit()
}
/** One more than the number of cores: tests also wait for sockets and child processes. */
const jobs = Number(options.jobs ?? availableParallelism() + 1)

/** The test files at or below a path, relative to the root. */
function testFilesAt(path) {
  const named = relative(ROOT, resolve(path))
  if (!existsSync(join(ROOT, named))) throw new Error(`${path} does not exist`)
  if (!statSync(join(ROOT, named)).isDirectory()) return [named]
  return readdirSync(join(ROOT, named), { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(named, name))
    .sort()
}

/** Returns the files of each process, the largest group first. */
function groups() {
  const named = positionals.length > 0 ? positionals : [options.suite ?? []].flat()
  const files =
    named.length > 0
      ? [...new Set(named.flatMap(testFilesAt))]
      : testFilesAt(join(ROOT, 'test')).filter((file) => !OTHER_SUITES.includes(dirname(file)))
  if (files.length === 0) throw new Error(`no test file at ${named.join(', ')}`)
  const byProcess = new Map()
  for (const file of files) {
    const name = options.isolate ? file : dirname(file)
    byProcess.set(name, [...(byProcess.get(name) ?? []), file])
  }
  const size = (group) => group.reduce((sum, file) => sum + statSync(join(ROOT, file)).size, 0)
  return [...byProcess.values()].sort((a, b) => size(b) - size(a))
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`.padStart(8)

/** Runs the files in one process. Resolves with the counts and each file's duration. */
async function runProcess(files, { signal }) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const durations = []
  const env = { ...process.env, TEST_FILES: files.join(' '), COMPILED_TESTS: COMPILED }
  const child = spawn(process.execPath, ['--enable-source-maps', PROCESS], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL'
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text))
  const parser = new Parser()
  parser.on('result', ({ ok, skip, todo, fullname, name, diag }) => {
    if (skip !== false || todo !== false) {
      counts.skipped++
      if (skip !== false) console.log(`skipped: ${fullname} > ${name}`)
    } else if (ok) counts.passed++
    else {
      counts.failed++
      console.log(`\nFAILED: ${fullname} > ${name}\n${diag ? stringify(diag).replace(/^/gm, '  ') : ''}`)
    }
  })
  // The subtests at the top level are the files.
  parser.on('assert', ({ name, time = 0 }) => {
    durations.push({ file: name, ms: time })
    console.log(`${seconds(time)}  ${name}`)
  })
  const results = new Promise((done) => parser.once('complete', done))
  child.stdout.pipe(parser)
  const end = await new Promise((done) => {
    child.once('error', (error) => done(error.message))
    child.once('close', (code, signal) => done(signal ?? code))
  })
  const { ok } = await results
  if (signal.aborted) return { counts, durations }
  const isComplete = durations.length === files.length
  if (!isComplete || (counts.failed === 0 && (end !== 0 || !ok))) {
    counts.failed++
    console.log(`\nFAILED: the process of ${dirname(files[0])} ended with ${end} after ${durations.length} files`)
  }
  if (counts.failed > 0 && errors !== '') console.log(`The process of ${dirname(files[0])} wrote:\n${errors}`)
  return { counts, durations }
}

/** Resolves with whether all tests passed. */
async function runAll(signal) {
  const start = performance.now()
  const limit = pLimit(jobs)
  const runs = await Promise.all(groups().map((files) => limit(() => runProcess(files, { signal }))))
  if (signal.aborted) return false
  const total = (name) => runs.reduce((sum, { counts }) => sum + counts[name], 0)
  const slowest = runs.flatMap(({ durations }) => durations).sort((a, b) => b.ms - a.ms)
  console.log('\nSlowest files')
  for (const { file, ms } of slowest.slice(0, SLOWEST)) console.log(`${seconds(ms)}  ${file}`)
  const [passed, failed, skipped] = ['passed', 'failed', 'skipped'].map(total)
  console.log(`\nAfter ${seconds(performance.now() - start).trim()}:`)
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  return failed === 0 && passed > 0
}

/** Returns a function that waits for the next change of the sources. esbuild's own watcher polls every two seconds. */
function watchSources() {
  const watched = new EventEmitter()
  let isChanged = false
  for (const folder of FOLDERS) {
    watch(join(ROOT, folder), { recursive: true }, () => {
      isChanged = true
      watched.emit('change')
    })
  }
  return async () => {
    if (!isChanged) await once(watched, 'change')
    // An editor may write a file in several steps.
    await setTimeout(50)
    isChanged = false
  }
}

if (options.list) {
  console.log(groups().flat().sort().join('\n'))
  process.exit()
}

let running = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
process.once('exit', () => running.abort())

const compiler = await createCompiler()
await compiler.rebuild()
if (options.watch) {
  if (positionals.length === 0) throw new Error('--watch requires the files to run on each change')
  const nextChange = watchSources()
  let isCompiled = true
  for (;;) {
    if (isCompiled) void runAll(running.signal)
    await nextChange()
    running.abort()
    running = new AbortController()
    isCompiled = await compiler.rebuild().then(
      () => true,
      () => false
    )
  }
} else {
  await compiler.dispose()
  process.exitCode = (await runAll(running.signal)) ? 0 : 1
}
