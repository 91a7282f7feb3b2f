// The Prisma CLI with our schema engine: `node scripts/run-prisma.mjs migrate deploy`, or runPrisma() for a script.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** Returns the CLI's entry file; `undefined` if Prisma, a development dependency, is not installed. */
export function findPrisma() {
  try {
    return createRequire(import.meta.url).resolve('prisma/build/index.js')
  } catch {
    return undefined
  }
}

/** @returns {{ ok: boolean, stdout: string }} `stdout` is empty unless it was piped */
export function runPrisma(args, stdio = 'inherit') {
  const { status, stdout } = spawnSync(process.execPath, [findPrisma(), ...args], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio,
    encoding: 'utf8',
    env: {
      ...process.env,
      CHECKPOINT_DISABLE: '1', // no update check
      // Set even for commands that never start it: otherwise the CLI downloads an engine.
      PRISMA_SCHEMA_ENGINE_BINARY: fileURLToPath(new URL('schema-engine.mjs', import.meta.url))
    }
  })
  return { ok: status === 0, stdout: stdout ?? '' }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = runPrisma(process.argv.slice(2)).ok ? 0 : 1
}
