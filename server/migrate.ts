import { readMigrationConfig } from './config.ts'
import { openDatabase } from '../src/db/open-database.ts'
import { ConfigError } from './env.ts'
import { redactSecrets } from './logging.ts'
import { readArguments } from './run.ts'

const HELP = `
Usage: npm run migrate          (in the image: node server/migrate.js)

Applies the pending migrations to the database, and exits. For a server that runs with MIGRATE=false and a role that
may not change the schema.

Environment: DATABASE_URL, with a role that may change the schema; DATABASE_DIRECT_URL if that leads to a pooler.
`

async function main(): Promise<void> {
  readArguments(HELP)
  const { databaseUrl, databaseDirectUrl } = readMigrationConfig(process.env)
  const database = await openDatabase({ url: databaseUrl.reveal(), directUrl: databaseDirectUrl?.reveal() })
  await database.close()
  process.stdout.write('The database is up to date.\n')
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`migrate failed. ${error instanceof ConfigError ? message : redactSecrets(message)}\n`)
  process.exitCode = 1
})
