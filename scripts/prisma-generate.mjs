// Writes src/generated/prisma. `npm ci` runs this through `prepare`, so it needs neither a network nor a database.
import { readArguments } from './arguments.mjs'
import { findPrisma, runPrisma } from './run-prisma.mjs'

readArguments('Usage: npm run prepare\n\nGenerates the database client into src/generated/prisma.')

if (findPrisma() === undefined) {
  // `npm ci --omit=dev` runs `prepare` too. Such an installation runs from dist/, which contains the compiled client.
  console.log('prisma is not installed: the database client was not generated')
} else {
  process.exitCode = runPrisma(['generate', '--no-hints']).ok ? 0 : 1
}
