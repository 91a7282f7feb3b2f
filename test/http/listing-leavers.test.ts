import { Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { testApp } from '../support/app.ts'
import { Deferred } from '../support/deferred.ts'
import { entry, page } from '../support/scripted-backend.ts'
import { until } from '../support/until.ts'

/** One reader on a connection of its own; `leave` closes it. */
function read(port: number) {
  const agent = new Agent()
  const asked = request({
    host: '127.0.0.1',
    port,
    path: '/cloud/scripted/listing',
    agent,
    headers: { 'x-user': 'ann' }
  })
  const status = new Promise<number | null>((resolve) => {
    asked.once('response', (answer) => {
      answer.resume().once('end', () => {
        resolve(answer.statusCode ?? null)
        agent.destroy()
      })
    })
    asked.once('error', () => {
      resolve(null)
    })
  })
  asked.end()
  return { status, leave: () => asked.destroy() }
}

t.test('of fifty cold readers one makes the call; it leaves, and the others are answered', async (t) => {
  const { app, connect, scripted } = await testApp(t)
  await connect('ann')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const slow = new Deferred<ReturnType<typeof page>>()
  scripted.backend.list = () => slow.promise
  const first = read(port)
  await until(() => scripted.backend.listed.length === 1)
  const others = Array.from({ length: 49 }, () => read(port))
  await until(() => app.folderCache.stats().joins === 49)
  first.leave()
  t.equal(await first.status, null)
  slow.resolve(page([entry('a')]))
  t.same(new Set(await Promise.all(others.map(({ status }) => status))), new Set([200]))
  t.equal(scripted.backend.listed.length, 1)
})

t.test('when all of them leave, the call upstream is ended', async (t) => {
  const { app, connect, scripted } = await testApp(t)
  await connect('ann')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const aborted = new Deferred<unknown>()
  scripted.backend.list = (_folder, { signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        aborted.resolve(signal.reason)
        reject(signal.reason as Error)
      })
    })
  const readers = Array.from({ length: 50 }, () => read(port))
  await until(() => app.folderCache.stats().joins === 49)
  for (const { leave } of readers) leave()
  await t.resolves(aborted.promise)
  await until(() => app.folderCache.stats().inFlight === 0)
  t.equal(app.folderCache.stats().entries, 0)
})
