// Measures what importing the built plugin adds to importing fastify and @fastify/sensible, as a share of the limit,
// in new processes, interleaved A B B A. Also counts the provider SDKs that a start loads. Run `npm run build` first.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inFreshProcess, showWhenAlone } from './cache/compare.mjs'
import { median, summarise } from './statistics.mjs'

const ALLOWED_MS = 60
const ROOT = fileURLToPath(new URL('../', import.meta.url))
const BASE = `await import('fastify'); await import('@fastify/sensible');`
const PLUGIN = `${BASE} await import('./dist/index.js');`

export async function rows({ rounds }) {
  return [...importRows(rounds), sdkRow()]
}

function importRows(rounds) {
  measure(PLUGIN)
  const bases = []
  const added = { wallMs: [], cpuMs: [] }
  for (let round = 0; round < rounds; round += 1) {
    const [a1, b1, b2, a2] = [measure(BASE), measure(PLUGIN), measure(PLUGIN), measure(BASE)]
    bases.push(a1.wallMs, a2.wallMs)
    for (const unit of ['wallMs', 'cpuMs']) added[unit].push((b1[unit] + b2[unit] - a1[unit] - a2[unit]) / 2)
  }
  const base = `${median(bases).toFixed(0)} ms`
  const row = (what, values, target) => ({
    name: `import, ${what}: what the plugin adds to fastify and @fastify/sensible, against ${ALLOWED_MS} ms`,
    ...summarise(values.map((ms) => ms / ALLOWED_MS)),
    target,
    better: 'lower',
    ours: `${median(values).toFixed(1)} ms`,
    theirs: base
  })
  return [row('by the clock', added.wallMs, { atMost: 1 }), row('of CPU time', added.cpuMs, null)]
}

function measure(script) {
  const code = `const start = performance.now(); const cpu = process.cpuUsage(); ${script}
    const used = process.cpuUsage(cpu); console.log(performance.now() - start, (used.user + used.system) / 1000)`
  const out = execFileSync(process.execPath, ['--input-type=module', '--eval', code], { cwd: ROOT, encoding: 'utf8' })
  const [wallMs, cpuMs] = out.trim().split(' ').map(Number)
  return { wallMs, cpuMs }
}

/** Counts the SDK packages that a process has imported or required after registering the plugin with providers. */
function sdkRow() {
  const folder = mkdtempSync(join(tmpdir(), 'imports-'))
  try {
    const log = join(folder, 'imports')
    writeFileSync(log, '')
    const flags = ['--import', join(ROOT, 'test/support/source/record-imports.mjs')]
    const required = inFreshProcess(new URL('start-process.mjs', import.meta.url), { flags, env: { IMPORT_LOG: log } })
    const imported = readFileSync(log, 'utf8').trim().split('\n')
    if (!imported.includes('lru-cache')) throw new Error('the imported modules were not recorded')
    const count = new Set([...imported.filter(isSdk), ...required]).size
    return { name: 'provider SDKs that a start loads', ratio: count, low: count, high: count, target: { atMost: 0 } }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function isSdk(name) {
  return name.startsWith('googleapis') || name.startsWith('@aws-sdk/')
}

await showWhenAlone(import.meta.url, rows)
