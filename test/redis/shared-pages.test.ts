import { randomBytes } from 'node:crypto'
import t from 'tap'
import { createBytesSealer } from '../../src/crypto/bytes-sealer.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import type { SharedPageOutcome } from '../../src/core/telemetry.ts'
import { SharedPages, type SharedPagesOptions } from '../../src/redis/shared-pages.ts'
import { ManualClock } from '../support/time/clock.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { MemoryRedis } from '../support/redis/memory-redis.ts'
import { until } from '../support/time/until.ts'

const PAGE_MS = 60_000
const LEASE_MS = 400
const FOLDER = { userId: 'ann', provider: 's3', folderId: 'f', connectionId: 'c' }
const keyRing = createKeyRing({ current: 'k', keys: { k: randomBytes(32).toString('base64') } })
const signal = new AbortController().signal

function start() {
  const clock = new ManualClock()
  const redis = new MemoryRedis(clock)
  const process = (ring = keyRing, options: Partial<SharedPagesOptions> = {}) => {
    const outcomes: SharedPageOutcome[] = []
    const pages = new SharedPages({
      redis,
      sealer: createBytesSealer(ring, 'test'),
      clock,
      pageTtlMs: PAGE_MS,
      leaseMs: LEASE_MS,
      maxPagesPerUser: 250,
      maxBytesPerUser: 16 * 1024 * 1024,
      random: () => 0,
      onOutcome: (outcome) => outcomes.push(outcome),
      onUnavailable: () => {},
      onRecovered: () => {},
      ...options
    })
    const page = async (key: string, load: () => Promise<Buffer>, leaving = signal, user = 'ann') => {
      const { bytes, ageMs } = await pages.getOrLoad(user, key, load, leaving)
      return { text: bytes.toString(), ageMs }
    }
    return { pages, page, outcomes }
  }
  return { clock, redis, process }
}

const never = () => Promise.reject(new Error('not to be loaded'))
const text = (value: string) => async () => Buffer.from(value)

t.test('a page that one process has loaded is available to another, with its age', async (t) => {
  const { clock, redis, process } = start()
  const [one, two] = [process(), process()]
  t.same(await one.page('k', text('page')), { text: 'page', ageMs: 0 })
  await one.pages.flush()
  clock.tick(10_000)
  t.same(await two.page('k', never), { text: 'page', ageMs: 10_000 })
  t.same([...one.outcomes, ...two.outcomes], ['miss', 'hit'])
  t.same(redis.keys('lock'), [])
  clock.tick(50_000)
  t.same(await two.page('k', text('anew')), { text: 'anew', ageMs: 0 })
})

t.test('the lifetime of a page begins at the start of its load', async (t) => {
  const { clock, process } = start()
  const [one, two] = [process(), process()]
  await one.page('k', async () => {
    clock.tick(20_000)
    return Buffer.from('slow')
  })
  await one.pages.flush()
  t.same(await two.page('k', never), { text: 'slow', ageMs: 20_000 })
  await one.page('late', async () => {
    clock.tick(PAGE_MS)
    return Buffer.from('too late')
  })
  await one.pages.flush()
  t.equal((await two.page('late', text('own'))).text, 'own')
})

/** Waits until processes have read a page `times` more times. */
async function looks(redis: MemoryRedis, times: number): Promise<void> {
  const count = () => redis.commands.filter((what) => what === 'getBuffer').length
  const before = count()
  await until(() => count() >= before + times)
}

t.test('while one process loads, the others wait for the page', async (t) => {
  const { redis, process } = start()
  const processes = [process(), process(), process(), process()]
  const answer = new Deferred<Buffer>()
  let loads = 0
  const load = () => {
    loads += 1
    return answer.promise
  }
  const pages = processes.map(({ page }) => page('k', load))
  await until(() => loads === 1)
  await looks(redis, 6)
  t.equal(loads, 1)
  answer.resolve(Buffer.from('page'))
  t.ok((await Promise.all(pages)).every(({ text }) => text === 'page'))
  t.equal(loads, 1)
  t.same(processes.flatMap(({ outcomes }) => outcomes).sort(), ['joined', 'joined', 'joined', 'miss'])
})

t.test('a failed load fails only its own process, and the next one loads', async (t) => {
  const { process } = start()
  const [one, two] = [process(), process()]
  const answer = new Deferred<Buffer>()
  const failing = one.page('k', () => answer.promise)
  await nextTurn()
  const waiting = two.page('k', text('second'))
  answer.reject(new Error('upstream'))
  await t.rejects(failing, { message: 'upstream' })
  t.equal((await waiting).text, 'second')
})

t.test('if a process dies during a load, another one loads once the lock has expired', async (t) => {
  const { clock, redis, process } = start()
  const [dying, two, three] = [process(), process(), process()]
  void dying.page('k', () => new Promise(() => {}))
  await until(() => redis.keys('lock').length === 1)
  let loads = 0
  const load = async () => {
    loads += 1
    return Buffer.from('page')
  }
  const pages = [two.page('k', load), three.page('k', load)]
  await looks(redis, 4)
  t.equal(loads, 0)
  clock.tick(2_000)
  t.same(
    (await Promise.all(pages)).map(({ text }) => text),
    ['page', 'page']
  )
  t.equal(loads, 1)
})

t.test('a process whose lock has expired does not release the lock of another', async (t) => {
  const { clock, redis, process } = start()
  const [slow, next, third] = [process(), process(), process()]
  const [first, second] = [new Deferred<Buffer>(), new Deferred<Buffer>()]
  const answers = [slow.page('k', () => first.promise)]
  await until(() => redis.keys('lock').length === 1)
  clock.tick(2_000)
  let begun = false
  answers.push(
    next.page('k', () => {
      begun = true
      return second.promise
    })
  )
  await until(() => begun)
  first.reject(new Error('upstream'))
  await t.rejects(Promise.all(answers.slice(0, 1)), { message: 'upstream' })
  await slow.pages.flush()
  t.equal(redis.keys('lock').length, 1, 'the lock of the next process still exists')
  const waiting = third.page('k', never)
  second.resolve(Buffer.from('page'))
  t.equal((await waiting).text, 'page')
})

t.test('a process that waits for another can abort', async (t) => {
  const { redis, process } = start()
  const [one, two] = [process(), process()]
  void one.page('k', () => new Promise(() => {}))
  await until(() => redis.keys('lock').length === 1)
  const controller = new AbortController()
  const leaving = two.page('k', never, controller.signal)
  await nextTurn()
  controller.abort(new Error('enough'))
  await t.rejects(leaving, { message: 'enough' })
})

t.test('an abort while the lock is being taken releases it', async (t) => {
  const { redis, process } = start()
  const one = process()
  const controller = new AbortController()
  const set = redis.set.bind(redis)
  redis.set = async (key, ...rest) => {
    redis.set = set
    const taken = await set(key, ...rest)
    controller.abort(new Error('enough'))
    return taken
  }
  await t.rejects(one.page('k', never, controller.signal), { message: 'enough' })
  await one.pages.flush()
  t.same(redis.keys('lock'), [])
})

t.test('a process that has waited very long for another loads the page itself', async (t) => {
  const { clock, redis, process } = start()
  const [one, two] = [process(), process()]
  void one.page('k', () => new Promise(() => {}))
  await until(() => redis.keys('lock').length === 1)
  const waiting = two.page('k', text('own'))
  await nextTurn()
  const lock = redis.keys('lock')[0] ?? ''
  clock.tick(10_000)
  // The owner is alive and renews its lock.
  redis.values.set(lock, { value: Buffer.from('somebody'), expiresAt: Infinity })
  t.equal((await waiting).text, 'own')
  t.same(two.outcomes, ['failed'])
})

t.test('a page that is too long is not shared, and no process waits for it', async (t) => {
  const { redis, process } = start()
  const [one, two] = [process(), process()]
  const long = Buffer.alloc(1024 * 1024 + 1, 'x')
  await one.page('k', async () => long)
  await one.pages.flush()
  t.equal((await two.page('k', text('own'))).text, 'own')
  t.ok([...redis.values.values()].every(({ value }) => value.length < 1000))
  const just = Buffer.alloc(1024 * 1024, 'x')
  await one.page('just', async () => just)
  await one.pages.flush()
  t.equal((await two.page('just', never)).text.length, just.length)
})

t.test('a page that is too long is loaded concurrently by all processes', async (t) => {
  const { process } = start()
  const [one, two, three] = [process(), process(), process()]
  await one.page('k', async () => Buffer.alloc(1024 * 1024 + 1))
  await one.pages.flush()
  let loads = 0
  const answer = new Deferred<Buffer>()
  const load = () => {
    loads += 1
    return answer.promise
  }
  const pages = [two.page('k', load), three.page('k', load)]
  await nextTurn()
  await nextTurn()
  t.equal(loads, 2)
  answer.resolve(Buffer.from('own'))
  await Promise.all(pages)
})

t.test('a page that is stored between the lookup and the lock is not loaded again', async (t) => {
  const { redis, process } = start()
  const [one, two] = [process(), process()]
  const set = redis.set.bind(redis)
  redis.set = async (key, ...rest) => {
    redis.set = set
    await one.page('k', text('page'))
    await one.pages.flush()
    return await set(key, ...rest)
  }
  t.equal((await two.page('k', never)).text, 'page')
  await two.pages.flush()
  t.same(redis.keys('lock'), [])
})

t.test('an outage of Redis fails no request', async (t) => {
  for (const mode of ['hangs', 'fails', 'refuses'] as const) {
    const { clock, redis, process } = start()
    const one = process()
    const before = await one.pages.getGeneration(FOLDER)
    redis.mode = mode
    clock.tick(LEASE_MS)
    t.equal(await one.pages.getGeneration(FOLDER), before, 'the known generation stays valid')
    t.equal((await one.page('k', text('own'))).text, 'own')
    t.same(one.outcomes, ['failed'])
    await one.pages.flush()
  }
})

t.test('an outage of Redis while a page is awaited or stored fails no request', async (t) => {
  const { redis, process } = start()
  const [one, two] = [process(), process()]
  const answer = new Deferred<Buffer>()
  const loading = one.page('k', () => answer.promise)
  await until(() => redis.keys('lock').length === 1)
  const waiting = two.page('k', text('own'))
  await nextTurn()
  redis.mode = 'fails'
  t.equal((await waiting).text, 'own')
  answer.resolve(Buffer.from('page'))
  t.equal((await loading).text, 'page')
  await one.pages.flush()
})

t.test('data in Redis reveals nothing and cannot be used by others', async (t) => {
  const { redis, process } = start()
  const one = process()
  const names = ['the id of a user', 'the provider', 'the id of a folder', 'the connection', 'the name of a file']
  const [userId = '', provider = '', folderId = '', connectionId = '', file = ''] = names
  const folder = { userId, provider, folderId, connectionId }
  await one.pages.getGeneration(folder)
  await one.page(JSON.stringify(folder), text(file))
  await one.pages.flush()
  const everything = [...redis.values].map(([key, { value }]) => `${key} ${value.toString('latin1')}`).join('\n')
  t.ok(everything.includes('fastify-cloud-storage:page:'))
  for (const secret of names) t.notOk(everything.includes(secret), secret)
  const [name = ''] = redis.keys('page')
  const held = redis.values.get(name)
  t.ok(held)
  if (held === undefined) return
  const another = process(createKeyRing({ current: 'k', keys: { k: randomBytes(32).toString('base64') } }))
  t.equal((await another.page(JSON.stringify(folder), text('own'))).text, 'own', 'another key ring uses other names')
  const altered = Buffer.from(held.value)
  altered.writeUInt8(altered.readUInt8(60) ^ 1, 60)
  redis.values.set(name, { ...held, value: altered })
  t.equal((await process().page(JSON.stringify(folder), text('anew'))).text, 'anew')
})

t.test('a page that is moved to another name cannot be opened', async (t) => {
  const { redis, process } = start()
  const one = process()
  await one.page('a', text('page of a'))
  await one.page('b', text('page of b'))
  await one.pages.flush()
  const [a = '', b = ''] = redis.keys('page')
  const [heldA, heldB] = [redis.values.get(a), redis.values.get(b)]
  if (heldA === undefined || heldB === undefined) throw new Error('two pages were stored')
  redis.values.set(a, heldB)
  redis.values.set(b, heldA)
  t.equal((await one.page('a', text('anew'))).text, 'anew')
})

t.test('the generation of a folder is the same in all processes, and is cached for a lease', async (t) => {
  const { clock, redis, process } = start()
  const [one, two] = [process(), process()]
  const value = await one.pages.getGeneration(FOLDER)
  redis.commands.length = 0
  t.same(
    new Set(await Promise.all(Array.from({ length: 9 }, async () => two.pages.getGeneration(FOLDER)))),
    new Set([value])
  )
  t.same(redis.commands, ['get', 'get', 'get', 'get'], 'concurrent calls share one read')
  redis.commands.length = 0
  t.equal(one.pages.getGeneration(FOLDER), value, 'without a read')
  t.same(redis.commands, [])
  clock.tick(LEASE_MS / 2)
  t.equal(one.pages.getGeneration(FOLDER), value, 'without waiting, and refreshed in the background')
  t.equal(one.pages.getGeneration(FOLDER), value)
  t.same(redis.commands, ['get', 'get', 'get', 'get'])
  await nextTurn()
  clock.tick(LEASE_MS - 1)
  t.type(one.pages.getGeneration(FOLDER), 'string')
  t.type(two.pages.getGeneration(FOLDER), Promise)
})

t.test('an invalidation affects its scope: at once in this process, within a lease in others', async (t) => {
  const others = {
    folder: { ...FOLDER, folderId: 'g' },
    root: { ...FOLDER, folderId: null },
    connection: { ...FOLDER, connectionId: 'd' },
    provider: { ...FOLDER, provider: 'box' },
    user: { ...FOLDER, userId: 'bob', connectionId: 'e' }
  }
  for (const [scope, kept] of [
    [{ of: 'folder', userId: 'ann', provider: 's3', folderId: 'f' }, ['folder', 'root', 'provider', 'user']],
    [{ of: 'connection', connectionId: 'c' }, ['connection', 'user']],
    [{ of: 'provider', userId: 'ann', provider: 's3' }, ['provider', 'user']],
    [{ of: 'all' }, []]
  ] as const) {
    const { clock, process } = start()
    const [one, two] = [process(), process()]
    const read = async ({ pages }: typeof one) =>
      new Map(
        await Promise.all(
          Object.entries({ own: FOLDER, ...others }).map(
            async ([name, folder]) => [name, await pages.getGeneration(folder)] as const
          )
        )
      )
    const before = await read(one)
    t.same(await read(two), before)
    one.pages.invalidate(scope)
    const after = await read(one)
    for (const [name, value] of after) {
      t.equal(value === before.get(name), (kept as readonly string[]).includes(name), `${scope.of}: ${name}`)
    }
    t.same(await read(two), before, 'cached')
    clock.tick(LEASE_MS)
    await read(two)
    t.same(await read(two), after)
  }
})

t.test('an invalidation during an outage of Redis is sent when it is back', async (t) => {
  const { clock, redis, process } = start()
  const [one, two] = [process(), process()]
  const before = await one.pages.getGeneration(FOLDER)
  await two.pages.getGeneration(FOLDER)
  redis.mode = 'fails'
  one.pages.invalidate({ of: 'all' })
  await nextTurn()
  const after = await one.pages.getGeneration(FOLDER)
  t.not(after, before)
  redis.mode = 'up'
  clock.tick(2_000)
  t.equal(await two.pages.getGeneration(FOLDER), before, 'the other process is not notified yet')
  t.equal(await one.pages.getGeneration(FOLDER), after)
  await until(() => redis.commands.includes('ping'))
  await nextTurn()
  clock.tick(LEASE_MS)
  t.equal(await two.pages.getGeneration(FOLDER), after)
  t.equal(await one.pages.getGeneration(FOLDER), after)
})

t.test('an invalidation that cannot be sent is dropped when all earlier pages have expired', async (t) => {
  const { clock, redis, process } = start()
  const [one, two] = [process(), process()]
  await one.pages.getGeneration(FOLDER)
  redis.mode = 'refuses'
  one.pages.invalidate({ of: 'all' })
  const own = await one.pages.getGeneration(FOLDER)
  await nextTurn()
  redis.mode = 'up'
  clock.tick(PAGE_MS - 1)
  t.equal(await one.pages.getGeneration(FOLDER), own)
  clock.tick(LEASE_MS + 1)
  t.equal(await one.pages.getGeneration(FOLDER), await two.pages.getGeneration(FOLDER))
})

t.test('a read that began before an invalidation does not undo it', async (t) => {
  const { clock, redis, process } = start()
  const one = process()
  const before = await one.pages.getGeneration(FOLDER)
  clock.tick(LEASE_MS)
  const reading = one.pages.getGeneration(FOLDER)
  clock.tick(1)
  one.pages.invalidate({ of: 'all' })
  await reading
  await nextTurn()
  const after = await one.pages.getGeneration(FOLDER)
  t.not(after, before)
  clock.tick(LEASE_MS)
  t.equal(await one.pages.getGeneration(FOLDER), after)
  t.equal(redis.keys('generation').length, 4)
})

t.test('after a loss of data Redis never returns to an earlier generation', async (t) => {
  const { clock, redis, process } = start()
  const one = process()
  const values = new Set<string>([await one.pages.getGeneration(FOLDER)])
  one.pages.invalidate({ of: 'all' })
  await nextTurn()
  for (let restart = 0; restart < 5; restart += 1) {
    redis.values.clear()
    clock.tick(LEASE_MS)
    values.add(await one.pages.getGeneration(FOLDER))
  }
  t.equal(values.size, 6)
})

t.test('an old page that is put back into Redis keeps its age, and is a miss past its lifetime', async (t) => {
  const { clock, redis, process } = start()
  const [one, two] = [process(), process()]
  await one.pages.getGeneration(FOLDER)
  await one.page('k', text('old'))
  await one.pages.flush()
  const stolen = [...redis.values]
    .filter(([key]) => !key.includes(':lock:'))
    .map(([key, { value }]) => ({ key, value }))
  t.ok(stolen.some(({ key }) => key.includes(':page:')) && stolen.some(({ key }) => key.includes(':generation:')))
  const restore = (livesMs: number) => {
    for (const { key, value } of stolen) redis.values.set(key, { value, expiresAt: clock.now() + livesMs })
  }
  clock.tick(30_000)
  restore(PAGE_MS)
  t.same(await two.page('k', never), { text: 'old', ageMs: 30_000 })
  clock.tick(29_999)
  restore(PAGE_MS)
  t.same(await two.page('k', never), { text: 'old', ageMs: 59_999 })
  clock.tick(1)
  for (const livesMs of [1, 1_000, PAGE_MS, 100 * PAGE_MS]) {
    restore(livesMs)
    t.same(await process().page('k', text('new')), { text: 'new', ageMs: 0 }, `with a lifetime of ${livesMs} ms`)
    clock.tick(PAGE_MS)
  }
})

t.test('the mark of an unshared page expires by its own time', async (t) => {
  const { clock, redis, process } = start()
  const one = process()
  await one.page('k', async () => Buffer.alloc(1024 * 1024 + 1))
  await one.pages.flush()
  const [name = ''] = redis.keys('page')
  const mark = redis.values.get(name)
  clock.tick(2_000)
  redis.values.set(name, { value: mark!.value, expiresAt: Infinity })
  await one.page('k', text('short by now'))
  await one.pages.flush()
  t.same(await process().page('k', never), { text: 'short by now', ageMs: 0 })
})

t.test('a page of an instance whose clock is far ahead is loaded again', async (t) => {
  for (const [aheadMs, isUsed] of [
    [1_000, true],
    [1_001, false],
    [3_600_000, false]
  ] as const) {
    const { clock, redis, process } = start()
    const behind = new ManualClock()
    behind.setBack(aheadMs)
    const [ahead, reader] = [process(), process(keyRing, { clock: behind })]
    await ahead.page('k', text('page'))
    await ahead.pages.flush()
    // Regardless of the expiry in Redis, which others may have changed.
    for (const [key, { value }] of redis.values) {
      if (key.includes(':page:')) redis.values.set(key, { value, expiresAt: clock.now() + 100 * PAGE_MS })
    }
    const found = await reader.page('k', text('own'))
    t.same(found, { text: isUsed ? 'page' : 'own', ageMs: 0 }, `${aheadMs} ms`)
  }
})

t.test('a page that has been in Redis for longer than its load time allows is loaded again', async (t) => {
  const { clock, redis, process } = start()
  const behind = new ManualClock()
  behind.setBack(5_000)
  const [ahead, reader] = [process(), process(keyRing, { clock: behind })]
  await ahead.page('k', text('page'))
  await ahead.pages.flush()
  for (const each of [clock, behind]) each.tick(10_000)
  t.equal((await reader.page('k', text('own'))).text, 'own', 'it would live for 5 s too long')
  t.equal(redis.keys('page').length, 1)
})

t.test('the generations of a user’s folders take bounded memory, and differ', async (t) => {
  const { redis, process } = start()
  const { pages } = process()
  const values = new Set<string>()
  const long = 'x'.repeat(8_000)
  for (let i = 0; i < 3_000; i += 1) {
    values.add(await pages.getGeneration({ ...FOLDER, folderId: `${long}${i}` }))
    pages.invalidate({ of: 'folder', userId: 'ann', provider: 's3', folderId: `${long}${i}` })
  }
  await nextTurn()
  t.ok(redis.keys('generation').length <= 3 + 256, String(redis.keys('generation').length))
  const bytes = [...redis.values].reduce((sum, [key, { value }]) => sum + key.length + value.length, 0)
  t.ok(bytes < 100_000, `${bytes} bytes`)
  t.ok(values.size > 2_000)

  const before = await pages.getGeneration(FOLDER)
  const root = await pages.getGeneration({ ...FOLDER, folderId: null })
  const others = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => pages.getGeneration({ ...FOLDER, folderId: `other ${i}` }))
  )
  pages.invalidate({ of: 'folder', userId: 'ann', provider: 's3', folderId: FOLDER.folderId })
  t.not(await pages.getGeneration(FOLDER), before)
  t.equal(await pages.getGeneration({ ...FOLDER, folderId: null }), root)
  let kept = 0
  for (let i = 0; i < 100; i += 1) {
    if ((await pages.getGeneration({ ...FOLDER, folderId: `other ${i}` })) === others[i]) kept += 1
  }
  t.ok(kept >= 95, `${kept} of 100 other folders keep their generation`)
})

t.test('beyond a user’s share pages are not stored, and no process waits for them', async (t) => {
  const { clock, process } = start()
  const share = { maxPagesPerUser: 10, maxBytesPerUser: 50_000 }
  const [one, two] = [process(keyRing, share), process()]
  const shared = async (key: string, user = 'ann') => {
    const { text: found } = await two.page(key, text('own'), signal, user)
    return found !== 'own'
  }
  const store = async (key: string, bytes: number, user = 'ann') => {
    await one.page(key, async () => Buffer.alloc(bytes, 'x'), signal, user)
    await one.pages.flush()
    return await shared(key, user)
  }
  for (let i = 0; i < 10; i += 1) t.equal(await store(`small ${i}`, 10), true)
  t.equal(await store('one page more', 10), false)
  t.equal(await store('another user', 10, 'bob'), true)
  clock.tick(2 * PAGE_MS)
  t.equal(await store('large', 30_000), true)
  t.equal(await store('too many bytes', 30_000), false)
  t.equal(await store('fits', 10_000), true)
  clock.tick(PAGE_MS)
  t.equal(await store('in the next window', 30_000), false, 'pages of the previous window may still be alive')
  clock.tick(PAGE_MS)
  t.equal(await store('a window later', 30_000), true)
})
