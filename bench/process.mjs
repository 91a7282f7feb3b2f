// The processes of a run: servers and the load generator. Each ends with this one, however that ends.
import { execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const fileOf = (path) => fileURLToPath(new URL(path, import.meta.url))
/** Debian's Python: another python3 does not find Debian's packages. */
const PYTHON = '/usr/bin/python3'

/**
 * Starts a server of `bench/servers/`.
 *
 * @param settings the JSON of its first argument
 */
export async function startServer(name, settings = {}) {
  const child = fork(fileOf(`./servers/${name}.mjs`), [JSON.stringify(settings)], { execArgv: settings.execArgv ?? [] })
  const { port } = await reply(child, name)
  return {
    name,
    port,
    pid: child.pid,
    cpuMs: () => cpuMsOf(child.pid) ?? ask(child, name, {}).then(({ cpuMs }) => cpuMs),
    /** Sets the responses of the server's bare routes. */
    setResponses: (responses) => ask(child, name, { responses }),
    stop: () => child.disconnect()
  }
}

/** Returns why the reference cannot run, or `null`. */
export function missingForReference() {
  try {
    execFileSync(PYTHON, ['-c', 'import cachetools, fastapi, uvicorn'], { stdio: 'ignore' })
    return cpuMsOf(process.pid) === null ? 'no /proc to read CPU times from' : null
  } catch {
    return "Debian's python3-fastapi, python3-uvicorn and python3-cachetools are not all installed"
  }
}

export async function startReference(settings) {
  const child = spawn(PYTHON, [fileOf('./servers/reference.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.write(`${JSON.stringify(settings)}\n`)
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended(child, 'reference')])
  return {
    name: 'reference',
    port: Number(line),
    pid: child.pid,
    cpuMs: () => cpuMsOf(child.pid),
    stop: () => child.stdin.end()
  }
}

/**
 * Starts PostgreSQL if it is installed. Otherwise `createDatabase` returns `undefined`, and servers use the embedded
 * database: its queries cost several milliseconds of the server's own CPU time, which those of a real server do not.
 *
 * @param options.counts count statements, which `takeCounts` returns
 */
export async function startPostgres({ counts = false } = {}) {
  const child = fork(fileOf('./postgres.mjs'), [JSON.stringify({ counts })], { execArgv: ['--import', 'tsx'] })
  const { isInstalled, canCount } = await reply(child, 'postgres')
  return {
    isInstalled,
    canCount,
    createDatabase: async () =>
      isInstalled ? (await ask(child, 'postgres', { job: 'createDatabase' })).result : undefined,
    /** Returns `{ query, calls }` of all statements in a database since the last call. */
    takeCounts: async (url) => (await ask(child, 'postgres', { job: 'takeCounts', url })).result,
    stop: () => child.disconnect()
  }
}

export async function startLoad() {
  const child = fork(fileOf('./load/process.mjs'))
  await reply(child, 'load')
  return {
    ask: async (job, details) => (await ask(child, 'load', { job, ...details })).result,
    stop: () => child.disconnect()
  }
}

/** Sends a message, and returns the response. @throws Error the error that it contains */
async function ask(child, name, message) {
  child.send(message)
  const response = await reply(child, name)
  if (response.error !== undefined) throw new Error(`${message.job ?? name}: ${response.error}`)
  return response
}

async function reply(child, name) {
  const waiting = new AbortController()
  try {
    const [message] = await Promise.race([
      once(child, 'message', { signal: waiting.signal }),
      ended(child, name, waiting.signal)
    ])
    return message
  } finally {
    waiting.abort()
  }
}

async function ended(child, name, signal) {
  const [code] = await once(child, 'exit', { signal }).catch((error) => {
    if (signal?.aborted) return []
    throw error
  })
  throw new Error(`the process ${name} ended with ${code}`)
}

/** Returns the CPU time of all threads, also of compiler and garbage collector; `null` on systems without it. */
function cpuMsOf(pid) {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    const nanoseconds = threads.map((thread) =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0])
    )
    return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e6
  } catch {
    return null
  }
}
