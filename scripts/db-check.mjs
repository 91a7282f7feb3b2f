// Fails if prisma/migrations do not lead to prisma/schema.prisma. Needs no database server.
import { readArguments } from './arguments.mjs'
import { runPrisma } from './run-prisma.mjs'

readArguments('Usage: npm run db:check\n\nFails if prisma/migrations do not produce prisma/schema.prisma.')

const from = ['--from-migrations', 'prisma/migrations']
const to = ['--to-schema', 'prisma/schema.prisma']
const { ok, stdout } = runPrisma(['migrate', 'diff', ...from, ...to, '--exit-code'], ['ignore', 'pipe', 'inherit'])

console.log(stdout.trim())
// The exit code is insufficient: the CLI has exited with 0 after its engine had crashed.
if (!ok || !stdout.includes('No difference detected')) {
  console.error('The migrations do not produce the schema. Add a migration with the changes above.')
  process.exitCode = 1
}
