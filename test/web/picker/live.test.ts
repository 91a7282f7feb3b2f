import t from 'tap'
import { type FolderEvent, folderEvents, parseEvents, type ServerSentEvent } from '../../../src/client/events.ts'
import { pause } from '../../../web/picker/clock.ts'
import { PickerProblem } from '../../../web/picker/problem.ts'
import { FolderBrowser } from '../../../web/picker/state/folder.ts'
import { LiveFolder } from '../../../web/picker/state/live.ts'
import { entryOf } from '../../support/picker/entries.ts'
import { listingOf, PickerWorld } from '../../support/picker/world.ts'

const ROOT = { provider: 's3', connectionId: 's3-1', folderId: null }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

async function parse(...chunks: readonly Uint8Array[]): Promise<ServerSentEvent[]> {
  const events: ServerSentEvent[] = []
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield* chunks
  }
  for await (const event of parseEvents(source())) events.push(event)
  return events
}

t.test('a stream gives the same events wherever it is split', async (t) => {
  for (const end of ['\n', '\r\n', '\r']) {
    const stream = bytes(
      [': hi', 'event: changed', 'data: {"a":"ä€😀"}', 'data:x', 'id: 7', '', 'data', '', 'data: cut'].join(end)
    )
    const expected = [
      { type: 'comment', data: ' hi' },
      { type: 'changed', data: '{"a":"ä€😀"}\nx' },
      { type: 'message', data: '' }
    ]
    for (let at = 0; at <= stream.length; at++) {
      t.strictSame(await parse(stream.subarray(0, at), stream.subarray(at)), expected)
    }
    t.strictSame(await parse(...Array.from(stream, (byte) => Uint8Array.of(byte))), expected)
  }
})

t.test('a byte order mark is dropped, at the beginning only', async (t) => {
  const stream = bytes('\uFEFFdata: a\n\n\uFEFFdata: b\n\ndata: \uFEFFc\n\n')
  for (let at = 0; at < 4; at++) {
    t.strictSame(await parse(stream.subarray(0, at), stream.subarray(at)), [
      { type: 'message', data: 'a' },
      { type: 'message', data: '\uFEFFc' }
    ])
  }
})

t.test('lines and events of more than 65,536 characters are refused', async (t) => {
  t.equal((await parse(bytes(`data:${'x'.repeat(65_531)}\n\n`))).length, 1)
  await t.rejects(parse(bytes('x'.repeat(65_537))), RangeError)
  await t.rejects(parse(bytes(`data:${'x'.repeat(40_000)}\n`.repeat(2))), RangeError)
})

t.test('unknown and invalid events are ignored', async (t) => {
  const text = 'event: other\ndata: {}\n\nevent: changed\ndata: no\n\nevent: changed\ndata: null\n\n: keep-alive\n\n'
  const events: FolderEvent[] = []
  for await (const event of folderEvents(new Response(text).body)) events.push(event)
  t.strictSame(events, [{ type: 'open' }, { type: 'keep-alive' }])
})

/** @param results how the streams end; a number is the time of a clean end, in milliseconds */
function createLive(results: (PickerProblem | 'hang' | number)[]) {
  const world = new PickerWorld()
  const attempts: number[] = []
  let rereads = 0
  const signals: AbortSignal[] = []
  world.api.watch = async function* (_folder, signal) {
    attempts.push(world.clock.now() - 1000)
    signals.push(signal)
    const result = results.shift() ?? 'hang'
    if (result instanceof PickerProblem) throw result
    yield { type: 'open' }
    if (typeof result === 'number') {
      await pause(world.clock, result, signal)
      return
    }
    await new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        reject(new Error('aborted'))
      })
    })
  }
  const live = new LiveFolder({
    api: () => world.api,
    clock: world.clock,
    random: () => 0,
    onChanged: async () => {
      rereads++
      return null
    }
  })
  return { live, world, attempts, signals, rereads: () => rereads }
}

t.test('a broken stream is opened again with growing delays, after Retry-After, and each one re-reads', async (t) => {
  const { live, world, attempts, rereads } = createLive([
    new PickerProblem('NETWORK'),
    new PickerProblem('NETWORK'),
    new PickerProblem('TOO_MANY_REQUESTS', { status: 429, retryAfterMs: 20_000 }),
    0
  ])
  live.watch(ROOT)
  await world.clock.advance(40_000)
  t.strictSame(attempts, [0, 1000, 2500, 22_500, 27_000])
  t.equal(rereads(), 2)
  live.watch(null)
  await world.clock.advance(0)
  t.equal(world.clock.pendingTimers, 0)
})

t.test('a stream that has worked is opened again at once after its end, and any other after a second', async (t) => {
  const { live, world, attempts } = createLive([30_001, 30_000, 'hang'])
  live.watch(ROOT)
  await world.clock.advance(62_000)
  t.strictSame(attempts, [0, 30_001, 61_001])
  live.watch(null)
})

t.test('a silent stream is replaced', async (t) => {
  const { live, world, attempts } = createLive([])
  live.watch(ROOT)
  await world.clock.advance(77_000)
  t.equal(attempts.length, 2)
})

t.test('a server without events is not asked again, and an expired session only for another folder', async (t) => {
  for (const [status, expected] of [
    [404, 1],
    [501, 1],
    [401, 2],
    [403, 2]
  ] as const) {
    const { live, world, attempts } = createLive([new PickerProblem(`HTTP_${status}`, { status })])
    live.watch(ROOT)
    await world.clock.advance(1000_000)
    t.equal(attempts.length, 1)
    live.watch({ ...ROOT, folderId: 'a/' })
    await world.clock.advance(0)
    t.equal(attempts.length, expected, String(status))
    live.watch(null)
  }
})

t.test('one stream at a time', async (t) => {
  const { live, world, signals } = createLive([])
  live.watch(ROOT)
  live.watch(ROOT)
  await world.clock.advance(0)
  live.watch({ ...ROOT, folderId: 'a/' })
  await world.clock.advance(0)
  t.strictSame(
    signals.map(({ aborted }) => aborted),
    [true, false]
  )
})

t.test('an update re-reads all loaded pages, and unchanged ones are confirmed', async (t) => {
  const world = new PickerWorld()
  const requests: unknown[] = []
  let names = ['a', 'b', 'c', 'd', 'e']
  const page = (cursor?: string) => {
    const at = Number(cursor ?? 0)
    const next = at + 2 < names.length ? String(at + 2) : null
    const entries = names.slice(at, at + 2).map((name) => entryOf(name))
    return { ...listingOf(entries, { next }), etag: entries.map(({ name }) => name).join('') }
  }
  world.api.list = async (_folder, { cursor }) => page(cursor)
  world.api.listIfChanged = async (_folder, { cursor }, etag) => {
    requests.push(etag)
    const current = page(cursor)
    return current.etag === etag ? null : current
  }
  const browser = new FolderBrowser(
    () => world.api,
    () => 2,
    world.options()
  )
  const shown = (): string => (browser.pages?.entries ?? []).map(({ name }) => name).join('')
  await browser.open(ROOT, '')
  await browser.loadMore()
  const [{ changes }, entries] = [world, browser.pages?.entries]
  await browser.update()
  t.strictSame(requests, ['ab', 'cd'])
  t.equal(world.changes, changes, 'nothing is drawn')
  t.equal(browser.pages?.entries, entries)
  names = ['0', ...names]
  await browser.update()
  t.equal(shown(), '0abcde', 'no row is lost at the end')
  t.strictSame(browser.pages?.lastChanges, { added: 2, removed: 0, changed: 0 })
  t.equal(browser.pages?.entries[1], entries?.[0], 'an unchanged entry is the same object')
  world.api.listIfChanged = async () => {
    throw new PickerProblem('FOLDER_NOT_FOUND', { status: 404 })
  }
  await browser.update()
  t.equal(browser.loading.problem?.code, 'FOLDER_NOT_FOUND')
})
