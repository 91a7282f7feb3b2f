// Runs a PostgreSQL server for a benchmark, if one is installed. It ends with the process that started this one.
import pg from 'pg'
import { isPostgresInstalled, startPostgres } from '../test/support/database/postgres.ts'

const { counts } = JSON.parse(process.argv[2])
const teardowns = []
process.on('disconnect', async () => {
  for (const teardown of teardowns) await teardown()
  process.exit()
})

const server = isPostgresInstalled ? await startPostgres({ teardown: (work) => teardowns.unshift(work) }) : undefined
/** Reads the counts, through a database of its own so that it is not counted. */
const counter = server !== undefined && counts ? await openCounter() : undefined

const jobs = {
  createDatabase: () => server.createDatabase(),
  async takeCounts({ url }) {
    const { rows } = await counter.query(
      `SELECT query, calls::int FROM pg_stat_statements(true) JOIN pg_database ON pg_database.oid = dbid
       WHERE datname = $1 ORDER BY calls DESC`,
      [new URL(url).pathname.slice(1)]
    )
    await counter.query('SELECT pg_stat_statements_reset()')
    return rows
  }
}

/** Loads pg_stat_statements, which counts exactly: the statistics of pg_stat_database arrive late. */
async function openCounter() {
  const url = await server.createDatabase()
  const client = await connect(url)
  const { rowCount } = await client.query(`SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements'`)
  if (rowCount === 1) await client.query(`ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`)
  await client.end()
  if (rowCount === 0) return undefined
  await server.stop()
  await server.start()
  const counting = await connect(url)
  teardowns.unshift(() => counting.end())
  await counting.query('CREATE EXTENSION pg_stat_statements')
  return counting
}

async function connect(url) {
  const client = new pg.Client(url)
  await client.connect()
  return client
}

process.on('message', async ({ job, ...details }) => {
  try {
    process.send({ result: await jobs[job](details) })
  } catch (error) {
    process.send({ error: String(error?.stack ?? error) })
  }
})
process.send({ isInstalled: server !== undefined, canCount: counter !== undefined })
