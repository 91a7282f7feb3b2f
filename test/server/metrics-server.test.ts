import { Gauge } from 'prom-client'
import t from 'tap'
import { buildMetricsServer, createRegistry } from '../../server/health-routes.ts'

t.test('the metrics server serves /metrics and nothing else', async (t) => {
  const registry = createRegistry()
  new Gauge({ name: 'of_a_plugin', help: 'x', registers: [registry] }).set(5)
  const server = buildMetricsServer(registry)
  t.teardown(() => server.close())
  const answer = await server.inject('/metrics')
  t.equal(answer.statusCode, 200)
  t.match(answer.headers, { 'content-type': /^text\/plain; version=0\.0\.4/, 'cache-control': 'no-store' })
  t.match(answer.body, /^of_a_plugin 5$/m)
  t.match(answer.body, /^nodejs_eventloop_lag_seconds/m)
  t.equal((await server.inject('/')).statusCode, 404)
})
