// A PostgreSQL server for a run, where one is installed: it starts here, and vanishes with the process that started
// this one. Without it servers take the embedded database, whose queries cost several milliseconds of their own process:
// nothing that a miss of a real server pays.
import { postgresIsInstalled, startPostgres } from '../test/support/postgres.ts'

const teardowns = []

process.on('disconnect', async () => {
  for (const teardown of teardowns) await teardown()
  process.exit()
})

let url
if (postgresIsInstalled) {
  const server = await startPostgres({ teardown: (work) => teardowns.unshift(work) })
  url = await server.createDatabase()
}
process.send({ url })
