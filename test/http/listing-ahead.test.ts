import t, { type Test } from 'tap'
import type { Listing } from '../../src/domain/entry.ts'
import type { CloudStorageOptions } from '../../src/index.ts'
import { testApp } from '../support/app.ts'
import { settled } from '../support/deferred.ts'
import { pages } from '../support/scripted-backend.ts'
import { until } from '../support/until.ts'

const LISTING = '/cloud/scripted/listing'

/** A user who has turned to the second of nine pages. */
async function turned(t: Test, options: Partial<CloudStorageOptions> = {}) {
  const world = await testApp(t, options)
  await world.connect('ann')
  const { backend } = world.scripted
  backend.list = pages(9)
  const get = async (cursor?: string) => {
    const answer = await world.as('ann').get(cursor === undefined ? LISTING : `${LISTING}?cursor=${cursor}`)
    return { status: answer.headers['cache-status'], body: answer.json<Listing>() }
  }
  const first = await get()
  return { ...world, get, first, asked: () => backend.listed.map(({ call }) => call.cursor ?? 'p1') }
}

t.test('a reader who has turned a page finds the next one there', async (t) => {
  const { app, get, first, asked } = await turned(t)
  const second = await get(first.body.page.next!)
  await until(() => app.folderCache.stats().entries === 3)
  t.strictSame(asked(), ['p1', 'p2', 'p3'])
  const third = await get(second.body.page.next!)
  t.match(third.status, /^fastify-cloud-storage; hit; ttl=\d+$/)
  t.equal(third.body.entries[0]?.name, 'p3')
})

t.test('with cache.readAhead false nothing is loaded before it is asked for', async (t) => {
  const { app, get, first, asked } = await turned(t, { cache: { readAhead: false } })
  const second = await get(first.body.page.next!)
  for (let i = 0; i < 20; i += 1) await settled()
  t.equal(app.folderCache.stats().loads, 2)
  await get(second.body.page.next!)
  t.strictSame(asked(), ['p1', 'p2', 'p3'])
})

t.test('an app that closes ends what is loaded ahead', async (t) => {
  const { app, get, first, scripted } = await turned(t)
  let signal: AbortSignal | undefined
  const others = scripted.backend.list
  scripted.backend.list = (folderId, call) => {
    if (call.cursor !== 'p3') return others(folderId, call)
    signal = call.signal
    return new Promise((_resolve, reject) => {
      call.signal.addEventListener('abort', () => {
        reject(call.signal.reason as Error)
      })
    })
  }
  await get(first.body.page.next!)
  await until(() => signal !== undefined)
  t.notOk(signal?.aborted)
  await app.close()
  t.ok(signal?.aborted)
  await until(() => app.folderCache.stats().inFlight === 0)
})
