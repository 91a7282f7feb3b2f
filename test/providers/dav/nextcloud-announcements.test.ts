import t, { type Test } from 'tap'
import { ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import { openNextcloud } from '../../contract/harness/nextcloud.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { FAKE_APP_PASSWORD, FakeNextcloud, type FakeNextcloudOptions } from '../../fakes/nextcloud/fake-nextcloud.ts'
import { frameOf } from '../../fakes/web-socket.ts'
import { rejectionOf } from '../../support/rejection.ts'
import { until } from '../../support/time/until.ts'

const CAPABILITIES = '/ocs/v2.php/cloud/capabilities'

async function start(t: Test, options?: FakeNextcloudOptions) {
  const fake = await FakeNextcloud.start(t, options)
  const { push } = fake
  push.isInstalled = true
  const { backend } = await openNextcloud(t, fake)
  const wait = (options: object = {}) =>
    backend.waitForChange!({ scope: ROOT_SCOPE, mark: '1:x' }, { ...callOptions(), ...options })
  const listening = () => push.sockets.filter(({ received }) => received.length === 3).length
  const lookups = () => fake.dav.requests.filter(({ path }) => path.endsWith(CAPABILITIES)).length
  return { fake, push, wait, listening, lookups }
}

t.test('a change of files is announced after the debounce', async (t) => {
  for (const mountPath of ['', '/nextcloud']) {
    for (const message of ['notify_file', 'notify_file_id [1,2]']) {
      const { push, wait, listening } = await start(t, { mountPath })
      let announced: boolean | undefined
      const waiting = wait().then((value) => (announced = value))
      await until(() => listening() === 1)
      push.announce('notify_activity')
      push.announce('notify_notification')
      push.announce('notify_custom notify_file')
      await new Promise((resolve) => setTimeout(resolve, 30))
      t.equal(announced, undefined)
      push.announce(message)
      t.equal(await waiting, true)
      await until(() => push.sockets.length === 0)
    }
  }
})

t.test('all waits of a connection share one socket, which an abort ends at once', async (t) => {
  const { push, wait, listening } = await start(t)
  const controller = new AbortController()
  const waits = [wait({ signal: controller.signal }), wait({ signal: controller.signal })]
  await until(() => listening() === 1)
  t.equal(push.sockets.length, 1)
  const reason = new Error('gone')
  controller.abort(reason)
  for (const waiting of waits) t.equal(await rejectionOf(waiting), reason)
  await until(() => push.sockets.length === 0)
})

t.test('a server without the app is asked once', async (t) => {
  const { push, wait, lookups } = await start(t)
  push.isInstalled = false
  await rejectsWith(t, wait(), 'UNSUPPORTED')
  await rejectsWith(t, wait(), 'UNSUPPORTED')
  t.equal(lookups(), 1)
})

t.test('a refused password is not sent again', async (t) => {
  const { fake, push, wait } = await start(t)
  push.script = () => {
    fake.appPasswords.delete(FAKE_APP_PASSWORD)
    return false
  }
  await rejectsWith(t, wait(), 'UNSUPPORTED')
  await rejectsWith(t, wait(), 'UNSUPPORTED')
  t.equal(fake.failedLogins, 1)
})

t.test('the password is sent to the origin of the server only', async (t) => {
  const other = (await start(t)).fake.dav
  const { host: ownHost } = new URL((await start(t)).fake.url)
  const before = other.connections
  for (const endpoint of [
    `${other.origin.replace('http', 'ws')}/push/ws`,
    `wss://${ownHost}/push/ws`,
    `ws://user:password@${ownHost}/push/ws`,
    'ws://localhost/push/ws',
    'file:///push/ws',
    'no url',
    7,
    null
  ]) {
    const { push, wait } = await start(t)
    push.endpoint = endpoint ?? {}
    await rejectsWith(t, wait(), 'UNSUPPORTED', String(endpoint))
    t.equal(push.sockets.length, 0)
  }
  t.equal(other.connections, before)
})

t.test('a broken or hostile channel fails, and is tried again', async (t) => {
  const { fake, push, wait, listening } = await start(t)
  const scripts: [string, (socket: (typeof push.sockets)[number]) => void, string][] = [
    [
      'closes without an answer',
      (socket) => {
        socket.close()
      },
      'PROVIDER_UNAVAILABLE'
    ],
    [
      'sends a huge frame',
      (socket) => {
        socket.sendFrame(frameOf('x'.repeat(70_000)))
      },
      'PROVIDER_ERROR'
    ]
  ]
  for (const [name, script, code] of scripts) {
    push.script = (socket) => {
      script(socket)
      return true
    }
    await rejectsWith(t, wait(), code as 'PROVIDER_ERROR', name)
  }
  push.script = () => false
  fake.maintenance = true
  await rejectsWith(t, wait(), ['PROVIDER_UNAVAILABLE', 'PROVIDER_THROTTLED'], 'maintenance')
  fake.maintenance = false
  const waiting = wait()
  await until(() => listening() === 1)
  push.announce('notify_file')
  t.equal(await waiting, true)
})
