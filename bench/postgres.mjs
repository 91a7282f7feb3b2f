// Runs a PostgreSQL server for a benchmark, if one is installed. It ends with the process that started this one.
// Without it, servers use the embedded database: its queries cost several milliseconds of the server's own CPU time,
// which a miss of a real server does not.
import { isPostgresInstalled, startPostgres } from '../test/support/database/postgres.ts'

const teardowns = []

process.on('disconnect', async () => {
  for (const teardown of teardowns) await teardown()
  process.exit()
})

let url
if (isPostgresInstalled) {
  const server = await startPostgres({ teardown: (work) => teardowns.unshift(work) })
  url = await server.createDatabase()
}
process.send({ url })
