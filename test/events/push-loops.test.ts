import t from 'tap'
import type { PageFreshness } from '../../src/core/change-feed.ts'
import { changeOnce, createWatching, type WatchingOptions } from '../support/listing/watching.ts'
import { Deferred } from '../support/time/deferred.ts'

/** Watched folders of a provider that announces changes. */
function createPushed(options: WatchingOptions = {}) {
  const watching = createWatching(options)
  const waits: { freshness: PageFreshness; signal: AbortSignal; result: Deferred<boolean> }[] = []
  watching.backend.waitForChange = (freshness, { signal }) => {
    const result = new Deferred<boolean>()
    waits.push({ freshness, signal, result })
    return result.promise
  }
  const announce = (value = true) => waits.at(-1)?.result.resolve(value)
  return { ...watching, waits, announce }
}

t.test('an announcement causes a check at once', async (t) => {
  const { watch, list, time, cloud, calls, waits, announce } = createPushed()
  const client = await watch('f', 'g')
  await time.pass(2_000)
  t.equal(waits.length, 0, 'there is no page yet')
  await list({ folderId: 'f' })
  await list({ folderId: 'g' })
  await time.pass(2_000)
  t.same(
    waits.map(({ freshness }) => freshness),
    [{ scope: '' }],
    'one call for the scope'
  )
  cloud.changes = changeOnce('f')
  announce()
  await time.pass(0)
  t.same(client.events, ['f'])
  t.equal(calls.checks, 1)
  await time.pass(9_000)
  t.equal(calls.checks, 1, 'something has changed: no further check')
  t.equal(waits.length, 2, 'the next announcement')
  client.stop()
  t.ok(waits[1]?.signal.aborted)
  await time.pass(0)
  t.equal(time.count, 0)
})

t.test('an announcement that the feed does not confirm yet causes two more checks', async (t) => {
  const { watch, list, time, cloud, calls, announce } = createPushed()
  const client = await watch('f')
  await list({ folderId: 'f' })
  await time.pass(1_000)
  announce()
  await time.pass(2_999)
  t.equal(calls.checks, 1)
  await time.pass(1)
  t.equal(calls.checks, 2)
  cloud.changes = changeOnce('f')
  await time.pass(6_999)
  t.same(client.events, [])
  await time.pass(1)
  t.same([calls.checks, client.events], [3, ['f']])
  await time.pass(5_000)
  t.equal(calls.checks, 3)
})

t.test('announcements cause a check every two seconds at most', async (t) => {
  const { watch, list, time, calls, backend } = createPushed()
  await watch('f')
  await list({ folderId: 'f' })
  backend.waitForChange = async () => true
  await time.pass(1_000)
  calls.checks = 0
  await time.pass(10_000)
  t.equal(calls.checks, 5)
})

t.test('an announcement right after another check waits for the rest of two seconds', async (t) => {
  const { watch, list, time, calls, waits } = createPushed({ freshness: { scope: 'a' } })
  await watch('f', 'g')
  await list({ folderId: 'f' })
  await list({ folderId: 'f' })
  await time.pass(60_000)
  await list({ folderId: 'f' })
  await time.pass(5_000)
  const { checks } = calls
  waits[0]?.result.resolve(true)
  await time.pass(500)
  t.equal(calls.checks, checks + 1)
  waits.at(-1)?.result.resolve(true)
  await time.pass(1_499)
  t.equal(calls.checks, checks + 1)
  await time.pass(1)
  t.equal(calls.checks, checks + 2)
})

t.test('a failure delays the next attempt by half a minute, doubled up to ten minutes, and nothing else', async (t) => {
  const { watch, list, time, cloud, backend } = createPushed()
  const client = await watch('f')
  await list({ folderId: 'f' })
  const attempts: number[] = []
  backend.waitForChange = () => {
    attempts.push(time.clock.now())
    return Promise.reject(new Error('refused'))
  }
  await time.pass(3_000_000)
  const delays = attempts.slice(1).map((at, index) => (at - (attempts[index] ?? 0)) / 1000)
  t.same(delays.slice(0, 7), [30, 60, 120, 240, 480, 600, 600])
  t.same(client.events, [], 'the page was confirmed all the time')
  cloud.changes = changeOnce('f')
  await time.pass(30_000)
  t.same(client.events, ['f'], 'checks go on')
})

t.test('nothing announced for some minutes: the next call follows', async (t) => {
  const { watch, list, time, calls, waits, announce } = createPushed()
  await watch('f')
  await list({ folderId: 'f' })
  await time.pass(5_000)
  announce(false)
  await time.pass(0)
  t.same([waits.length, calls.checks], [2, 0])
})

t.test('marks: of the first folder of each client, four per connection, and no longer than their page', async (t) => {
  const { watch, list, time, cloud, waits, backend } = createPushed()
  let mark = 0
  const load = backend.list
  backend.list = (...call) => {
    mark += 1
    cloud.freshness = { mark: `m${mark}` }
    return load(...call)
  }
  const clients = [await watch('a1', 'a2')]
  for (const folderId of ['a1', 'a2', 'b', 'c', 'd', 'e']) await list({ folderId })
  await time.pass(1_000)
  t.same(
    waits.map(({ freshness }) => freshness),
    [{ mark: 'm1' }]
  )
  for (const folder of ['b', 'c', 'd', 'e']) clients.push(await watch(folder))
  await time.pass(1_000)
  t.same(
    waits.map(({ freshness }) => freshness.mark),
    ['m1', 'm3', 'm4', 'm5']
  )

  cloud.isCurrent = async (checked) => checked !== 'm1'
  waits[0]?.result.resolve(true)
  await time.pass(0)
  t.same(clients[0]?.events, ['a1'])
  await time.pass(5_000)
  t.equal(waits.filter(({ freshness }) => freshness.mark === 'm1').length, 1, 'not called with the old mark again')
  t.equal(waits.at(-1)?.freshness.mark, 'm6', 'the next one takes its place')
  clients.pop()?.stop()
  await list({ folderId: 'a1' })
  await time.pass(2_000)
  t.equal(waits.at(-1)?.freshness.mark, 'm7', 'the mark of the new page')
  for (const client of clients) client.stop()
  await time.pass(0)
  t.ok(waits.every(({ signal, freshness }) => signal.aborted || freshness.mark === 'm1'))
  t.equal(time.count, 0)
})

t.test('a mark that was announced and is current is not waited for again within half a minute', async (t) => {
  const { watch, list, time, waits, announce } = createPushed({ freshness: { mark: 'm' } })
  await watch('f')
  await list({ folderId: 'f' })
  await time.pass(5_000)
  announce()
  await time.pass(29_999)
  t.equal(waits.length, 1)
  await time.pass(1)
  t.equal(waits.length, 2)
})

t.test('a backend that announces nothing is asked once', async (t) => {
  const { watch, list, time, backend, freshness } = createWatching()
  await watch('f')
  await list({ folderId: 'f' })
  t.equal(backend.waitForChange, undefined)
  await time.pass(5_000)
  t.ok(freshness)
  backend.waitForChange = () => {
    t.fail('not asked again')
    return Promise.resolve(true)
  }
  await time.pass(600_000)
})
