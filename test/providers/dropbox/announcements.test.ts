import t, { type Test } from 'tap'
import { openDropbox, startDropbox } from '../../contract/harness/dropbox.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { redirects, resets, respondsWith } from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { rejectionOf } from '../../support/rejection.ts'
import { until } from '../../support/time/until.ts'

const LONGPOLL = '/2/files/list_folder/longpoll'

async function start(t: Test) {
  const started = await startDropbox(t)
  const { backend, tree, fake } = started
  const folder = tree.addFolder({ name: 'folder' })
  const other = tree.addFolder({ name: 'other' })
  const list = async () => (await backend.listFolder(folder.id, { ...callOptions(), limit: 100 })).freshness!
  const wait = (freshness: Awaited<ReturnType<typeof list>>, options: object = {}) =>
    backend.waitForChange!(freshness, { ...callOptions(), ...options })
  const polls = () => fake.requests.filter(({ path }) => path === LONGPOLL)
  return { ...started, folder, other, list, wait, polls }
}

t.test('a change in the folder is announced, without a token', async (t) => {
  const { tree, folder, other, list, wait, polls } = await start(t)
  const freshness = await list()
  let announced: boolean | undefined
  const waiting = wait(freshness).then((value) => (announced = value))
  await until(() => polls().length === 1)
  tree.addFile({ name: 'elsewhere', parent: other })
  await new Promise((resolve) => setTimeout(resolve, 30))
  t.equal(announced, undefined, 'a change elsewhere is not announced')
  tree.addFile({ name: 'new', parent: folder })
  t.equal(await waiting, true)
  const [request] = polls()
  t.same(JSON.parse(request?.body?.toString() ?? ''), { cursor: freshness.mark, timeout: 240 })
  t.notOk(request?.headers['authorization'])
  t.notOk(request?.headers['dropbox-api-path-root'])
  t.equal(await wait(freshness), true, 'an old mark is announced at once')
})

t.test('a long poll without a change ends with false', async (t) => {
  const { fake, list, wait } = await start(t)
  fake.knobs.longpollMs = 20
  t.equal(await wait(await list()), false)
})

t.test('equal waits are one request, and each can be aborted', async (t) => {
  const { fake, tree, folder, list, wait, polls } = await start(t)
  const freshness = await list()
  const controllers = [new AbortController(), new AbortController()]
  const waits = controllers.map(({ signal }) => wait(freshness, { signal }))
  await until(() => polls().length === 1)
  const reason = new Error('not interested')
  controllers[0]?.abort(reason)
  t.equal(await rejectionOf(waits[0]!), reason)
  tree.addFile({ name: 'new', parent: folder })
  t.equal(await waits[1], true)
  t.equal(polls().length, 1)
  const last = new AbortController()
  const fresh = await list()
  const waiting = wait(fresh, { signal: last.signal })
  await until(() => polls().length === 2)
  await new Promise((resolve) => setTimeout(resolve, 20))
  const before = fake.sockets.size
  last.abort(reason)
  t.equal(await rejectionOf(waiting), reason)
  await until(() => fake.sockets.size < before)
})

t.test('a reset cursor is an announcement', async (t) => {
  const { fake, list, wait } = await start(t)
  const freshness = await list()
  fake.resetCursors()
  t.equal(await wait(freshness), true)
})

t.test('a page without a mark cannot be watched', async (t) => {
  const { wait, polls } = await start(t)
  await rejectsWith(t, wait({ scope: '' }), 'UNSUPPORTED')
  t.same(polls(), [])
})

t.test('a backoff delays the next request, and not the announcement', async (t) => {
  const { fake, tree, folder, list, wait, polls } = await start(t)
  fake.knobs.longpollBackoff = 0.3
  const freshness = await list()
  tree.addFile({ name: 'new', parent: folder })
  const began = performance.now()
  t.equal(await wait(freshness), true)
  t.ok(performance.now() - began < 250, 'at once')
  t.equal(await wait(freshness), true)
  t.ok(performance.now() - began >= 300, 'the next one later')
  t.equal(polls().length, 2)
})

t.test('failures reject, and a redirect is not followed', async (t) => {
  const { fake, list, wait } = await start(t)
  const freshness = await list()
  const location = `${fake.url}/2/files/list_folder/longpoll`
  for (const [name, fault, code] of [
    ['an outage', respondsWith(503), 'PROVIDER_UNAVAILABLE'],
    ['no change reported', respondsWith(200, { body: '{}' }), 'PROVIDER_ERROR'],
    ['HTML', respondsWith(200, { body: '<html>' }), 'PROVIDER_ERROR'],
    ['a huge response', respondsWith(200, { body: `{"changes":true,"x":"${'x'.repeat(70_000)}"}` }), 'PROVIDER_ERROR'],
    ['a redirect', redirects(location, 307), 'PROVIDER_ERROR'],
    ['a reset connection', resets(), 'PROVIDER_UNAVAILABLE']
  ] as const) {
    fake.failNext(1, fault, { path: LONGPOLL })
    await rejectsWith(t, wait(freshness), code, name)
  }
})

t.test('a mark never reaches a host that the egress rules forbid', async (t) => {
  const { fake, list, polls } = await start(t)
  const freshness = await list()
  const port = (origin: string) => new URL(origin).port
  const egress = openEgress({ allowHosts: [`127.0.0.1:${port(fake.url)}`, `127.0.0.1:${port(fake.contentUrl)}`] })
  const { backend } = await openDropbox(t, fake, undefined, egress)
  await rejectsWith(t, backend.waitForChange!(freshness, callOptions()), 'ENDPOINT_FORBIDDEN')
  t.same(polls(), [])
})
