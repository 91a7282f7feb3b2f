import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { BigIntStats } from 'node:fs'
import { PassThrough, Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { mock } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { parse } from 'content-disposition'
import fc from 'fast-check'
import t from 'tap'
import type { ListCall } from '../../src/core/backend.ts'
import { type Entry, formatContentDisposition, stripBidiControls } from '../../src/core/entry.ts'
import { StorageError } from '../../src/errors.ts'
import { readTime } from '../../src/providers/dav/entries.ts'
import { modifiedAt } from '../../src/providers/disk/entries.ts'
import { formatLastModified } from '../../src/providers/s3/entries.ts'
import { parseProviderUrl } from '../../src/providers/shared/bearer.ts'
import { resolveRange } from '../../src/providers/shared/download.ts'
import { parseIsoTime } from '../../src/providers/shared/entries.ts'
import { failure } from '../../src/providers/shared/errors.ts'
import { importSdk } from '../../src/providers/shared/backend.ts'
import { compareUtf8, isSegment, isUnambiguous, nameOf, parentOf } from '../../src/providers/shared/names.ts'
import { type FolderListing, ListingPager, readJsonCursor } from '../../src/providers/shared/paging.ts'
import { toSizedBody } from '../../src/providers/shared/sized-body.ts'
import { TransferBody } from '../../src/providers/shared/transfer-body.ts'
import { UploadRetry } from '../../src/providers/shared/upload-retry.ts'
import { uploadFrom, UploadSource } from '../../src/providers/shared/upload.ts'
import { callOptions, rejectsWith } from '../contract/suite/arrange.ts'
import { chunkedStream } from '../contract/suite/uploads.ts'
import { readBody } from '../support/app/read-body.ts'
import { TEST_SPOOL } from '../support/backend/spool.ts'
import { anyText } from '../support/listing/arbitraries.ts'
import { Deferred } from '../support/time/deferred.ts'
import { until } from '../support/time/until.ts'

const wellFormed = anyText()

t.test('names are compared by their UTF-8 bytes', async () => {
  fc.assert(
    fc.property(wellFormed, wellFormed, (a, b) => {
      return Math.sign(compareUtf8(a, b)) === Buffer.compare(Buffer.from(a), Buffer.from(b))
    })
  )
})

t.test(
  'any name makes one attachment header, from which the name without bidirectional controls can be parsed',
  async (t) => {
    fc.assert(
      fc.property(wellFormed, (name) => {
        const header = formatContentDisposition(name)
        const { type, parameters } = parse(header)
        return (
          /^[\x20-\x7e]*$/.test(header) && type === 'attachment' && parameters['filename'] === stripBidiControls(name)
        )
      })
    )
    t.equal(formatContentDisposition('plain name.txt'), 'attachment; filename="plain name.txt"')
    t.equal(
      formatContentDisposition('a"b\\c%20.txt'),
      `attachment; filename="a_b_c_20.txt"; filename*=UTF-8''a%22b%5Cc%2520.txt`
    )
    t.equal(
      formatContentDisposition("it's (1)*.txt\u00e9"),
      `attachment; filename="it's (1)*.txt_"; filename*=UTF-8''it%27s%20%281%29%2a.txt%C3%A9`
    )
    t.notMatch(formatContentDisposition('a\r\nSet-Cookie: x'), /[\r\n]/)
  }
)

t.test('placeholder times are null, and all other times are parsed', async (t) => {
  for (const unknown of [
    '1970-01-01T00:00:00Z',
    '1970-01-01T01:00:00+01:00',
    '1601-01-01T00:00:00Z',
    '0001-01-01T00:00:00Z'
  ]) {
    t.equal(parseIsoTime(unknown), null, unknown)
    t.equal(readTime(unknown), null, unknown)
  }
  t.equal(readTime('Thu, 01 Jan 1970 00:00:00 GMT'), null)
  for (const known of ['1970-01-01T00:00:01.000Z', '1969-12-31T23:59:59.000Z', '2026-11-30T11:52:00.000Z']) {
    t.equal(parseIsoTime(known), known)
    t.equal(readTime(known), known)
  }
  t.equal(modifiedAt({ mtimeMs: 0n } as BigIntStats), null)
  t.equal(modifiedAt({ mtimeMs: 10n ** 18n } as BigIntStats), null, 'outside of the range of dates')
  t.equal(modifiedAt({ mtimeMs: 1000n } as BigIntStats), '1970-01-01T00:00:01.000Z')
  t.equal(formatLastModified(new Date(0)), null)
  t.equal(formatLastModified(new Date(999)), null, 'rounded to whole seconds')
  t.equal(formatLastModified(new Date(NaN)), null)
})

t.test('paths are split at their slashes', async (t) => {
  for (const [id, name, parent] of [
    ['a', 'a', null],
    ['a/', 'a', null],
    ['a/b', 'b', 'a/'],
    ['a/b/', 'b', 'a/'],
    ['a//', '', 'a/'],
    ['a//b', 'b', 'a//'],
    ['/', '', null],
    ['/a', 'a', '/'],
    ['//', '', '/']
  ] as const) {
    t.equal(nameOf(id), name, `the name of ${id}`)
    t.equal(parentOf(id), parent, `the parent of ${id}`)
  }
  for (const odd of ['.', '..', 'a/..', 'a/./b', '../', 'a\0', '\ud800', 'a\udc00']) t.notOk(isUnambiguous(odd))
  for (const fine of ['...', '..a', 'a.', 'a/.b', '\u{1f4be}', '%2e%2e', '~', 'a//b']) t.ok(isUnambiguous(fine), fine)
  for (const no of ['', 'a/b', '.', '..']) t.notOk(isSegment(no))
})

t.test('a range of any object lies inside of it or is not satisfiable', async () => {
  fc.assert(
    fc.property(fc.nat(100), fc.nat(100), fc.nat(100), (start, length, size) => {
      try {
        const range = resolveRange({ start, end: start + length }, size)
        return range.start === start && range.end === Math.min(start + length, size - 1) && range.end < size
      } catch (error) {
        return start >= size && error instanceof StorageError && error.code === 'RANGE_NOT_SATISFIABLE'
      }
    })
  )
})

t.test('a missing SDK is a clear error in the log only', async (t) => {
  const missing = 'no-such-package'
  const error: unknown = await importSdk(missing, import(missing)).catch((error: unknown) => error)
  t.match(error, { code: 'SDK_MISSING', cause: { message: /npm install no-such-package/ } })
  t.match(error, { cause: { cause: { message: missing } } })
  t.notMatch((error as Error).message, missing)
  t.equal(await importSdk('node:path', Promise.resolve(1)), 1)
})

function body(source: Readable, expected: number | null = null, signal = new AbortController().signal) {
  return new TransferBody(source, { expected, idleMs: 1000, signal, toError: (error) => error as Error })
}

t.test('timeouts of a body', async (t) => {
  t.beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] })
  })
  t.afterEach(() => {
    mock.timers.reset()
  })

  t.test('reading from a stalled source times out', async (t) => {
    const source = new PassThrough()
    const reading = body(source)
    const read = readBody(reading)
    source.write('a')
    await once(reading, 'readable')
    mock.timers.tick(999)
    t.equal(reading.destroyed, false)
    source.write('b')
    await until(() => source.readableLength === 0)
    mock.timers.tick(999)
    t.equal(reading.destroyed, false, 'each chunk restarts the timeout')
    mock.timers.tick(1)
    await rejectsWith(t, read, 'PROVIDER_TIMEOUT')
    t.equal(source.destroyed, true)
  })

  t.test('a slow reader does not time out', async (t) => {
    const source = Readable.from([Buffer.alloc(100_000), Buffer.alloc(100_000)], { objectMode: false })
    const reading = body(source, 200_000)
    reading.read(0)
    await once(reading, 'readable')
    mock.timers.tick(60_000)
    t.equal(reading.destroyed, false)
    t.equal((await readBody(reading)).length, 200_000)
  })

  t.test('an unread body times out in the end', async (t) => {
    const source = new PassThrough()
    const unread = body(source)
    mock.timers.tick(299_999)
    t.equal(unread.destroyed, false)
    mock.timers.tick(1)
    t.equal(unread.destroyed, true)
    t.equal(source.destroyed, true)
  })
})

t.test('a reader that does not read stops the source', async (t) => {
  let given = 0
  const source = new Readable({
    highWaterMark: 1000,
    read() {
      process.nextTick(() => {
        given += 1000
        this.push(given > 1_000_000 ? null : Buffer.alloc(1000))
      })
    }
  })
  const reading = body(source)
  reading.read(0)
  let before = -1
  // Settled if twenty turns of the event loop change nothing.
  while (before !== given) {
    before = given
    for (let turn = 0; turn < 20; turn++) await setImmediate()
  }
  t.ok(given > 0 && given < 200_000, `${given} bytes were read from the source`)
  t.equal((await readBody(reading)).length, 1_000_000)
})

t.test('a body is compared with its declared size', async (t) => {
  t.equal((await readBody(body(Readable.from([Buffer.from('abc')]), 3))).toString(), 'abc')
  await rejectsWith(t, readBody(body(Readable.from([Buffer.from('abc')]), 4)), 'PROVIDER_UNAVAILABLE', 'too few')
  await rejectsWith(t, readBody(body(Readable.from([Buffer.from('abc')]), 2)), 'PROVIDER_ERROR', 'too many')
  const closed = new PassThrough()
  const reading = readBody(body(closed))
  closed.destroy()
  await rejectsWith(t, reading, 'PROVIDER_UNAVAILABLE', 'closed without an end event')
})

t.test('an error of an unread body does not end the process', async (t) => {
  const source = new PassThrough()
  const unread = body(source)
  source.destroy(new Error('reset'))
  await until(() => unread.closed)
  t.match(unread.errored, { message: 'reset' })
})

t.test('a body is destroyed by its signal, and removes its listener at its end', async (t) => {
  const reason = new Error('left')
  const aborted = body(new PassThrough(), null, AbortSignal.abort(reason))
  t.equal(aborted.errored, reason)
  const controller = new AbortController()
  let listeners = 0
  const { signal } = controller
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners++
    add(...args)
  }
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners--
    remove(...args)
  }
  await readBody(body(Readable.from([Buffer.from('abc')]), 3, signal))
  t.equal(listeners, 0)
  const text = new AbortController()
  const odd = body(new PassThrough(), null, text.signal)
  text.abort('a text')
  t.match(odd.errored, { cause: 'a text' }, 'a stream can be destroyed only with an Error')
})

t.test('the source of an upload ends correctly or fails', async (t) => {
  const text = Readable.from(['\u00fc', 'b'])
  const source = new UploadSource(text, 3)
  t.equal((await readBody(source.stream)).toString(), '\u00fcb')
  t.equal(source.receivedBytes, 3, 'bytes are counted, not characters')

  const own = new StorageError('PAYLOAD_TOO_LARGE', 'The host allows less.')
  const limited = new PassThrough()
  const limiting = readBody(new UploadSource(limited, undefined).stream)
  limited.destroy(own)
  t.equal(await limiting.catch((error: unknown) => error), own, 'an error of the host keeps its code')

  const silent = new PassThrough()
  const waiting = new UploadSource(silent, undefined)
  const read = readBody(waiting.stream)
  const reason = new Error('enough')
  waiting.destroy(reason)
  t.equal(await read.catch((error: unknown) => error), reason)
  t.equal(silent.destroyed, true)
})

t.test('a URL in a response must have an allowed origin and path', async (t) => {
  const places = ['https://upload.example.org', 'http://127.0.0.1:8080', 'content.example.org', '*.files.example.org']
  const good = [
    'https://upload.example.org/a?b=c',
    'http://127.0.0.1:8080/',
    'https://content.example.org/x',
    'https://a.files.example.org/x'
  ]
  for (const url of good) t.equal(parseProviderUrl(url, places, 'a link').href, url)
  const bad = [
    undefined,
    7,
    '',
    '/relative',
    'https://example.org/',
    'https://upload.example.org:8443/',
    'http://upload.example.org/',
    'http://content.example.org/',
    'https://content.example.org.evil.example/',
    'https://files.example.org/',
    'https://user:secret@upload.example.org/',
    'https://user@a.files.example.org/',
    'file:///etc/passwd'
  ]
  for (const url of bad) {
    const error = thrownBy(() => parseProviderUrl(url, places, 'a link'))
    t.match(error, { code: 'PROVIDER_ERROR' }, String(url))
    t.notMatch((error.cause as Error).message, /secret|passwd/, 'the URL is not in the message')
  }
})

t.test('a cursor is a JSON array that is validated by its backend', async (t) => {
  const read = ([text]: readonly unknown[]) => (typeof text === 'string' ? text : null)
  t.equal(readJsonCursor('["a", 1]', read), 'a')
  for (const cursor of ['', '[1]', '{"0":"a"}', '"a"', 'null', '["a"']) {
    t.throws(() => readJsonCursor(cursor, read), { code: 'INVALID_CURSOR' }, cursor)
  }
})

function thrownBy(act: () => unknown): Error {
  try {
    act()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('it did not fail')
}

const passing = failure('PROVIDER_UNAVAILABLE')

const { signal } = new AbortController()

t.test('transient failures are retried five times in a row, and permanent ones are not', async (t) => {
  const waits: number[] = []
  const patience = new UploadRetry(signal, async (ms) => {
    waits.push(ms)
  })
  for (let turn = 0; turn < 2; turn++) {
    for (let failures = 0; failures < 5; failures++) await patience.backOff(passing)
    patience.reset()
  }
  for (let failures = 0; failures < 5; failures++) await patience.backOff(passing)
  await t.rejects(patience.backOff(passing), passing)
  t.equal(waits.length, 15)
  for (const [count, wait] of waits.entries()) t.ok(wait >= 0 && wait <= 100 * 2 ** (count % 5), `${wait} ms`)
  for (const error of [failure('ACCESS_DENIED'), new Error('a bug')]) {
    const other = new UploadRetry(signal)
    await t.rejects(other.backOff(error), error)
  }
})

t.test('a Retry-After of half a minute is not waited for', async (t) => {
  const patience = new UploadRetry(signal)
  await t.rejects(patience.backOff(passing, 30_001), passing)
})

t.test('aborting ends the wait', async (t) => {
  const controller = new AbortController()
  const patience = new UploadRetry(controller.signal)
  const waiting = patience.backOff(passing, 29_000)
  const reason = new Error('enough')
  controller.abort(reason)
  await t.rejects(waiting, reason)
  await t.rejects(patience.backOff(passing), reason)
})

const HELD = 4 * 1024 * 1024

t.test('a body has its size, whether it is declared or not', async (t) => {
  for (const size of [0, 1, HELD - 1, HELD, HELD + 1, 3 * HELD + 7]) {
    const content = randomBytes(size)
    for (const announced of [size, undefined]) {
      const body = await toSizedBody(new UploadSource(chunkedStream(content), announced), announced, TEST_SPOOL)
      t.equal(body.size, size, `${size}, declared as ${announced}`)
      t.ok((await readBody(body.stream)).equals(content))
      await body.close()
    }
  }
})

t.test('a body with a declared size is not buffered', async (t) => {
  const silent = new Readable({ read() {} })
  const body = await toSizedBody(new UploadSource(silent, 10), 10, TEST_SPOOL)
  t.equal(body.size, 10)
  silent.destroy()
  await t.rejects(readBody(body.stream), { code: 'INVALID_REQUEST' })
})

t.test('an upload destroys its source, however it ends', async (t) => {
  const { signal } = new AbortController()
  const silent = () => new Readable({ read() {} })
  const failing = silent()
  await t.rejects(
    uploadFrom(failing, { signal }, async () => {
      throw new Error('refused')
    }),
    /refused/
  )
  t.equal(failing.destroyed, true)
  for (const call of [{ size: -1 }, { size: 0.5 }, { ifMatch: 'v', ifNoneMatch: '*' as const }]) {
    const body = silent()
    await t.rejects(
      uploadFrom(body, { signal, ...call }, async () => 'stored'),
      { code: 'INVALID_REQUEST' }
    )
    t.equal(body.destroyed, true)
  }
  const controller = new AbortController()
  const reason = new Error('enough')
  const waiting = silent()
  const upload = uploadFrom(waiting, { signal: controller.signal }, async ({ stream }) => {
    for await (const piece of stream) t.fail(String(piece))
  })
  controller.abort(reason)
  await t.rejects(upload, reason)
  t.equal(waiting.destroyed, true)
})

const FOLDER = { id: null, name: null, parentId: null }

function folderOf(
  count: number,
  { prefix = '', reason = null }: { prefix?: string; reason?: FolderListing['reason'] } = {}
): FolderListing {
  const entries = Array.from({ length: count }, (_, index) => {
    return { id: `${prefix}${index}`, kind: index % 2 === 0 ? 'file' : 'folder' } as Entry
  })
  return { folder: FOLDER, entries, reason }
}

const never = () => Promise.reject(new Error('it was listed again'))
const page = (limit: number, more: Partial<ListCall> = {}): ListCall => ({ ...callOptions(), limit, ...more })

async function allOf(pages: ListingPager, whole: FolderListing, limit: number, kind?: 'file' | 'folder') {
  const more = kind === undefined ? {} : { kind }
  let each = await pages.getPage('ann', 'place', page(limit, more), async () => whole)
  const sizes = [each.entries.length]
  const ids = each.entries.map(({ id }) => id)
  while (each.next !== null) {
    each = await pages.getPage('ann', 'place', page(limit, { ...more, cursor: each.next }), never)
    sizes.push(each.entries.length)
    ids.push(...each.entries.map(({ id }) => id))
  }
  return { sizes, ids, last: each }
}

t.test('pages of any size add up to the whole folder', async (t) => {
  const whole = folderOf(10)
  for (const [limit, sizes] of [
    [1, Array.from({ length: 10 }, () => 1)],
    [9, [9, 1]],
    [10, [10]],
    [11, [10]]
  ] as const) {
    const read = await allOf(new ListingPager(), whole, limit)
    t.same(read.sizes, sizes)
    t.same(
      read.ids,
      whole.entries.map(({ id }) => id)
    )
    t.match(read.last, { complete: true, reason: null })
  }
  t.same((await allOf(new ListingPager(), whole, 2, 'folder')).ids, ['1', '3', '5', '7', '9'])
  t.match((await allOf(new ListingPager(), folderOf(0), 2)).last, { entries: [], complete: true })
})

t.test('an incomplete folder is reported on the last page only', async (t) => {
  const pages = new ListingPager()
  const first = await pages.getPage('ann', 'p', page(2), async () => folderOf(3, { reason: 'page-cap' }))
  t.match(first, { complete: false, reason: 'more' })
  t.match(await pages.getPage('ann', 'p', page(2, { cursor: first.next ?? '' }), never), {
    complete: false,
    reason: 'page-cap',
    next: null
  })
})

t.test('a cursor works in a process that has not cached the folder, until the folder changes', async (t) => {
  const { next } = await new ListingPager().getPage('ann', 'p', page(2), async () => folderOf(5))
  const cursor = next ?? ''
  const other = new ListingPager()
  const second = await other.getPage('another id in each process', 'p', page(2, { cursor }), async () => folderOf(5))
  t.same(
    second.entries.map(({ id }) => id),
    ['2', '3']
  )
  const third = page(2, { cursor: second.next ?? '' })
  t.same((await other.getPage('another id in each process', 'p', third, never)).entries.length, 1, 'it is cached now')
  for (const changed of [folderOf(4), folderOf(6), folderOf(5, { prefix: 'new ' }), folderOf(0)]) {
    const reading = new ListingPager().getPage('ann', 'p', page(2, { cursor }), async () => changed)
    await rejectsWith(t, reading, 'CURSOR_EXPIRED', `${changed.entries.length} entries`)
  }
  const failing = new ListingPager()
  await t.rejects(failing.getPage('ann', 'p', page(2, { cursor }), never), /listed again/)
  t.ok(await failing.getPage('ann', 'p', page(2, { cursor }), async () => folderOf(5)), 'a failure is not cached')
})

t.test('a cursor is bound to its listing, and a changed folder is listed again', async (t) => {
  const pages = new ListingPager()
  const { next } = await pages.getPage('ann', 'p', page(2), async () => folderOf(5))
  const cursor = next ?? ''
  await pages.getPage('ann', 'p', page(3), async () => folderOf(5))
  t.equal((await pages.getPage('ann', 'p', page(2, { cursor }), never)).entries.length, 2, 'listed again and unchanged')
  await t.rejects(pages.getPage('ann', 'p', page(2), never), /listed again/)
  t.ok(await pages.getPage('ann', 'p', page(2, { cursor }), never), 'a failed listing changes nothing')
  const changed = async () => folderOf(5, { prefix: 'new ' })
  await pages.getPage('ann', 'p', page(3), changed)
  await rejectsWith(
    t,
    pages.getPage('ann', 'p', page(2, { cursor }), changed),
    'CURSOR_EXPIRED',
    'the folder has changed'
  )
  const back = await pages.getPage('ann', 'p', page(2, { cursor }), async () => folderOf(5))
  t.equal(back.entries.length, 2, 'the folder has changed back')
  for (const garbage of ['', '.', 'a.b', `${'a'.repeat(22)}.-1`, `${'a'.repeat(22)}.1e3`, 'x'.repeat(5000)]) {
    const reading = pages.getPage('ann', 'p', page(2, { cursor: garbage }), never)
    await rejectsWith(t, reading, 'INVALID_CURSOR', garbage.slice(0, 30))
  }
})

t.test('concurrent requests for pages list the folder once, and the last abort ends the listing', async (t) => {
  const { next } = await new ListingPager().getPage('ann', 'p', page(2), async () => folderOf(5))
  const pages = new ListingPager()
  const reading = new Deferred<FolderListing>()
  const signals: AbortSignal[] = []
  const load = (signal: AbortSignal) => {
    signals.push(signal)
    return reading.promise
  }
  const callers = [new AbortController(), new AbortController(), new AbortController()]
  const asked = callers.map(({ signal }) => pages.getPage('ann', 'p', page(2, { cursor: next ?? '', signal }), load))
  const gone = new Error('gone')
  callers[0]?.abort(gone)
  t.equal(await asked[0]?.catch((error: unknown) => error), gone)
  t.equal(signals.length, 1)
  t.equal(signals[0]?.aborted, false, 'two other callers are waiting')
  reading.resolve(folderOf(5))
  t.same(
    (await Promise.all(asked.slice(1))).map(({ entries }) => entries.length),
    [2, 2]
  )

  const alone = new AbortController()
  const abandoned = new ListingPager()
  const left = abandoned.getPage('ann', 'p', page(2, { cursor: next ?? '', signal: alone.signal }), (signal) => {
    signals.push(signal)
    return new Promise(() => {})
  })
  alone.abort(gone)
  t.equal(await left.catch((error: unknown) => error), gone)
  t.equal(signals[1]?.aborted, true)
  t.ok(await abandoned.getPage('ann', 'p', page(2, { cursor: next ?? '' }), async () => folderOf(5)))
})

t.test('the total and the per-user weight of folders in memory are limited', async (t) => {
  const pages = new ListingPager()
  const long = folderOf(20_000, { prefix: 'x'.repeat(4000) })
  const { ids, last } = await allOf(pages, long, 1000)
  t.ok(ids.length > 10_000 && ids.length < 20_000, `${ids.length} folders are cached`)
  t.match(last, { complete: false, reason: 'page-cap' })
  const small = (await pages.getPage('bob', 'small', page(1), async () => folderOf(3))).next ?? ''
  const own = (await pages.getPage('ann', 'small', page(1), async () => folderOf(3))).next ?? ''
  for (const name of ['second', 'third', 'fourth', 'fifth']) await pages.getPage('ann', name, page(1), async () => long)
  t.ok(await pages.getPage('bob', 'small', page(1, { cursor: small }), never), 'another user keeps the cached folder')
  await t.rejects(pages.getPage('ann', 'small', page(1, { cursor: own }), never), /listed again/, 'the user loses one')
})

t.test('a user above the share loses the least recently used folder, and other users lose none', async (t) => {
  const weighing = new ListingPager()
  await weighing.getPage('ann', '1', page(1), async () => folderOf(3))
  const weight = weighing.weightOf('ann')
  t.ok(weight > 0)
  // Without a limit per user, the store would hold four folders of all users, and evict bob's first.
  const pages = new ListingPager({ maxWeight: 4 * weight, maxUserWeight: 3 * weight })
  const begin = async (userId: string, folder: string, whole = folderOf(3)): Promise<string> =>
    (await pages.getPage(userId, folder, page(1), async () => whole)).next ?? ''
  const isCached = (userId: string, folder: string, cursor: string): Promise<boolean> =>
    pages.getPage(userId, folder, page(1, { cursor }), never).then(
      () => true,
      () => false
    )
  const bobs = await begin('bob', '1')
  const [first, second, third] = [await begin('ann', '1'), await begin('ann', '2'), await begin('ann', '3')]
  t.equal(await isCached('ann', '1', first), true, 'reading counts as a use')
  const fourth = await begin('ann', '4')
  t.equal(await isCached('ann', '2', second), false, 'the least recently used one is evicted')
  for (const [folder, cursor] of [
    ['1', first],
    ['3', third],
    ['4', fourth]
  ] as const) {
    t.equal(await isCached('ann', folder, cursor), true, folder)
  }
  for (let again = 0; again < 10; again++) await begin('ann', '4', folderOf(3, { prefix: String(again) }))
  for (let count = 5; count < 50; count++) await begin('ann', String(count))
  t.equal(pages.weightOf('ann'), 3 * weight)
  t.equal(await isCached('bob', '1', bobs), true)

  const large = folderOf(20)
  const cursor = await begin('bob', '1', large)
  t.equal(pages.weightOf('bob'), 0, 'a folder that is larger than a share is not cached, its old version is dropped')
  const read = await pages.getPage('bob', '1', page(50, { cursor }), async () => large)
  t.equal(read.entries.length, 19, 'the folder is listed again')
})

t.test('users whose concatenated names and folders are equal do not share folders', async (t) => {
  const pages = new ListingPager()
  const { next } = await pages.getPage('ann', 'b c', page(1), async () => folderOf(3))
  await t.rejects(pages.getPage('ann b', 'c', page(1, { cursor: next ?? '' }), never), /listed again/)
})

t.test('the chunk that completes a declared size is held back until the source has ended', async (t) => {
  const source = new Readable({ read() {} })
  const { stream } = new UploadSource(source, 4)
  const seen: string[] = []
  stream.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
  source.push('ab')
  await until(() => seen.length === 1)
  source.push('cd')
  await until(() => source.readableLength === 0)
  source.push('e')
  await t.rejects(finished(stream), { code: 'INVALID_REQUEST' })
  t.same(seen, ['ab'])
})
