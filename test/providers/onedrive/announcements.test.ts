import t, { type Test } from 'tap'
import { ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import { openOneDrive } from '../../contract/harness/onedrive.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { FAKE_GRAPH_TOKEN, FakeGraph } from '../../fakes/graph/fake-graph.ts'
import { respondsWith } from '../../fakes/faults.ts'
import { frameOf } from '../../fakes/web-socket.ts'
import { failureOf, rejectionOf } from '../../support/rejection.ts'
import { until } from '../../support/time/until.ts'

async function start(t: Test) {
  const fake = await FakeGraph.start(t)
  const { backend } = await openOneDrive(t, fake)
  const { notifications, tree } = fake
  const wait = (options: object = {}, scope: string = ROOT_SCOPE) =>
    backend.waitForChange!({ scope }, { ...callOptions(), ...options })
  const listening = () => notifications.sockets.filter(({ received }) => received.length >= 2).length
  const lookups = () => fake.requests.filter(({ path }) => path.endsWith('/socketIo')).map(({ path }) => path)
  return { fake, tree, notifications, wait, listening, lookups, drive: tree.driveOf(tree.root) }
}

t.test('a notification of the drive is announced, and pings are answered', async (t) => {
  const { notifications, wait, listening, lookups, drive } = await start(t)
  for (const [scope, path] of [
    [ROOT_SCOPE, '/v1.0/me/drive/root/subscriptions/socketIo'],
    [drive.id, `/v1.0/drives/${drive.id}/root/subscriptions/socketIo`]
  ] as const) {
    let announced: boolean | undefined
    const waiting = wait({}, scope).then((value) => (announced = value))
    await until(() => listening() === 1)
    const [socket] = notifications.sockets
    socket?.send('2')
    socket?.send('42,["notification",{}]')
    socket?.send('42/other,["notification",{}]')
    await until(() => socket?.received.includes('3') === true)
    t.equal(announced, undefined, 'other namespaces say nothing')
    notifications.announce(drive)
    t.equal(await waiting, true)
    t.equal(lookups().at(-1), path)
    await until(() => notifications.sockets.length === 0)
  }
})

t.test('waits for one drive share a socket, which an abort ends at once', async (t) => {
  const { notifications, wait, listening } = await start(t)
  const controller = new AbortController()
  const waits = [wait({ signal: controller.signal }), wait({ signal: controller.signal })]
  await until(() => listening() === 1)
  t.equal(notifications.sockets.length, 1)
  const reason = new Error('gone')
  controller.abort(reason)
  for (const waiting of waits) t.equal(await rejectionOf(waiting), reason)
  await until(() => notifications.sockets.length === 0)
})

t.test('a refusal is remembered for its drive', async (t) => {
  for (const status of [400, 403, 404, 405, 501]) {
    const { fake, wait, lookups } = await start(t)
    fake.failNext(Infinity, respondsWith(status), { path: /socketIo$/ })
    await rejectsWith(t, wait(), 'UNSUPPORTED', String(status))
    await rejectsWith(t, wait(), 'UNSUPPORTED', String(status))
    t.equal(lookups().length, 1)
  }
  const { notifications, wait, lookups } = await start(t)
  notifications.refusal = { code: 'serviceNotAvailable' }
  await rejectsWith(t, wait(), 'PROVIDER_THROTTLED')
  await rejectsWith(t, wait(), 'PROVIDER_THROTTLED')
  t.equal(lookups().length, 2, 'an outage is not')
})

t.test('notifications come only from hosts of Microsoft, which get no token', async (t) => {
  const { fake, notifications, wait } = await start(t)
  for (const url of [
    'https://evil.example.org/notifications?token=1',
    'wss://a.svc.ms/notifications?token=1',
    'http://a.svc.ms/notifications?token=1',
    'https://a.svc.ms.evil.example.org/notifications',
    `${fake.url}/notifications?token=1`,
    'no url',
    7
  ]) {
    notifications.url = url
    await rejectsWith(t, wait(), 'PROVIDER_ERROR', String(url))
  }
  t.equal(notifications.sockets.length, 0)
})

t.test('a broken or hostile channel fails without its secret', async (t) => {
  const { notifications, wait } = await start(t)
  for (const [name, send, code] of [
    ['closes without a packet', '', 'PROVIDER_UNAVAILABLE'],
    ['ends the session', '1', 'PROVIDER_UNAVAILABLE'],
    ['refuses the namespace', '44/notifications,{"message":"no"}', 'PROVIDER_UNAVAILABLE'],
    ['sends a huge packet', 'x'.repeat(70_000), 'PROVIDER_ERROR']
  ] as const) {
    let secret = 'none'
    notifications.script = (socket) => {
      if (send === '') socket.close()
      else socket.sendFrame(frameOf(send))
      return true
    }
    const error = await failureOf(wait())
    secret = FAKE_GRAPH_TOKEN
    t.equal(error.code, code, name)
    t.notOk([error.message, String(error.cause)].join().includes(secret))
    t.notOk(/token=/.test([error.message, String(error.cause)].join()), name)
  }
})
