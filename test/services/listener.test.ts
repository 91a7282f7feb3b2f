import { performance } from 'node:perf_hooks'
import t from 'tap'
import { openDatabase } from '../../src/db/open-database.ts'
import { isPostgresInstalled, startPostgres } from '../support/database/postgres.ts'
import { PostgresProxy } from '../support/database/postgres-proxy.ts'
import { requireService } from '../support/process/services.ts'

t.test('a database is closed although the network drops the packets of its listener', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const server = await startPostgres(t)
  const url = await server.createDatabase()
  const { hostname: host, port } = new URL(url)
  const proxy = await PostgresProxy.start(t, { host, port: Number(port) })
  const database = await openDatabase({ url: proxy.proxiedUrl(url), migrate: false })
  const listener = await database.listen()
  await listener.query('LISTEN cloud_connections')
  proxy.mode = 'blackhole'
  const from = performance.now()
  await database.close()
  t.ok(performance.now() - from < 10_000)
})
