import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import { openBox } from '../../contract/harness/box.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { FAKE_BOX_TOKEN, FakeBox } from '../../fakes/box/fake-box.ts'
import { redirects, respondsWith } from '../../fakes/faults.ts'
import { failureOf, rejectionOf } from '../../support/rejection.ts'
import { until } from '../../support/time/until.ts'

async function start(t: Test) {
  const fake = await FakeBox.start(t)
  const { backend } = await openBox(t, fake)
  const wait = (options: object = {}) => backend.waitForChange!({ scope: ROOT_SCOPE }, { ...callOptions(), ...options })
  const count = (host: string, method: string) =>
    fake.requests.filter((request) => request.host === host && request.method === method).length
  return { fake, backend, wait, polls: () => count('realtime', 'GET'), lookups: () => count('api', 'OPTIONS') }
}

t.test('an event of the user is announced, without a token at the host of long polls', async (t) => {
  const { fake, wait, polls, lookups } = await start(t)
  const waiting = wait()
  await until(() => polls() === 1)
  fake.tree.addFile({ name: 'new' })
  t.equal(await waiting, true)
  t.same([polls(), lookups()], [1, 1])
  const poll = fake.requests.find(({ host }) => host === 'realtime')
  t.notOk(JSON.stringify(poll?.headers).includes(FAKE_BOX_TOKEN))
})

t.test('a reconnect takes a new channel, and no event is lost', async (t) => {
  const { fake, wait, polls, lookups } = await start(t)
  fake.knobs.longPollMs = 20
  const waiting = wait()
  await until(() => polls() >= 3)
  fake.knobs.longPollMs = 10_000
  await until(() => lookups() > 3)
  await new Promise((resolve) => setTimeout(resolve, 30))
  fake.tree.addFile({ name: 'new' })
  t.equal(await waiting, true)
})

t.test('a server that always reconnects is given up', async (t) => {
  for (const [maxRetries, expected] of [
    ['2', 3],
    [2, 3],
    ['999', 11],
    [-1, 11]
  ] as const) {
    const { fake, wait, polls } = await start(t)
    fake.knobs.maxRetries = maxRetries
    fake.knobs.longPollMs = 0
    await rejectsWith(t, wait(), 'PROVIDER_UNAVAILABLE')
    t.equal(polls(), expected, String(maxRetries))
  }
})

t.test('all callers of a connection share one long poll, which an abort ends at once', async (t) => {
  const { fake, wait, polls } = await start(t)
  const controller = new AbortController()
  const waits = [wait({ signal: controller.signal }), wait({ signal: controller.signal })]
  await until(() => polls() === 1)
  const before = fake.sockets.size
  const reason = new Error('gone')
  controller.abort(reason)
  for (const waiting of waits) t.equal(await rejectionOf(waiting), reason)
  await until(() => fake.sockets.size < before)
  t.equal(polls(), 1)
})

t.test('a long poll is made only at hosts of Box', async (t) => {
  const { fake, wait, polls } = await start(t)
  for (const url of [
    'https://evil.example.org/subscribe?channel=1&stream_type=all',
    `${fake.url}/subscribe?channel=1&stream_type=all`,
    'https://services.box.com.evil.example.org/',
    'file:///etc/passwd',
    'no url',
    null,
    7
  ]) {
    fake.knobs.longPollUrl = url
    await rejectsWith(t, wait(), 'PROVIDER_ERROR', String(url))
  }
  t.equal(polls(), 0)
})

t.test('failures reject without the channel', async (t) => {
  const { fake, wait } = await start(t)
  for (const [name, fault, code] of [
    ['an outage', respondsWith(503), 'PROVIDER_UNAVAILABLE'],
    ['an unknown message', respondsWith(200, { body: '{"message":"max_retries"}' }), 'PROVIDER_ERROR'],
    ['HTML', respondsWith(200, { body: '<html>' }), 'PROVIDER_ERROR'],
    ['a redirect', redirects(fake.url), 'PROVIDER_ERROR'],
    [
      'a huge response',
      respondsWith(200, { body: `{"message":"new_change","x":"${'x'.repeat(70_000)}"}` }),
      'PROVIDER_ERROR'
    ]
  ] as const) {
    fake.failNext(1, fault, { host: 'realtime' })
    const error = await failureOf(wait())
    t.equal(error.code, code, name)
    const channel = fake.requests.at(-1)?.query.get('channel') ?? 'none'
    t.ok(channel.length > 10)
    t.notOk([error.message, String(error.cause), inspect(error.details)].join().includes(channel), name)
  }
  fake.failNext(1, respondsWith(200, { body: '{"entries":[]}' }), { method: 'OPTIONS' })
  await rejectsWith(t, wait(), 'PROVIDER_ERROR', 'no server')
})
