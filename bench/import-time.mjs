// What importing the built plugin adds to importing fastify and @fastify/sensible: fresh processes, interleaved
// A B B A, the median of the differences of neighbours. Run `npm run build` first.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROUNDS = Number(process.argv[2] ?? 15)
const root = fileURLToPath(new URL('../', import.meta.url))

const base = `await import('fastify'); await import('@fastify/sensible');`
const variants = { base, plugin: `${base} await import('./dist/index.js');` }

function measure(script) {
  const code = `const start = performance.now(); const cpu = process.cpuUsage(); ${script}
    const used = process.cpuUsage(cpu); console.log(performance.now() - start, (used.user + used.system) / 1000)`
  const out = execFileSync(process.execPath, ['--input-type=module', '--eval', code], { cwd: root, encoding: 'utf8' })
  const [wallMs, cpuMs] = out.trim().split(' ').map(Number)
  return { wallMs, cpuMs }
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]

measure(variants.plugin)
const added = { wallMs: [], cpuMs: [] }
const bases = []
for (let round = 0; round < ROUNDS; round += 1) {
  const a1 = measure(variants.base)
  const b1 = measure(variants.plugin)
  const b2 = measure(variants.plugin)
  const a2 = measure(variants.base)
  bases.push(a1.wallMs, a2.wallMs)
  for (const unit of ['wallMs', 'cpuMs']) added[unit].push(b1[unit] - a1[unit], b2[unit] - a2[unit])
}
console.log(`fastify and @fastify/sensible: ${median(bases).toFixed(1)} ms`)
console.log(`the plugin adds: ${median(added.wallMs).toFixed(1)} ms (CPU ${median(added.cpuMs).toFixed(1)} ms)`)
