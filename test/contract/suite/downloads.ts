import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { parse } from 'content-disposition'
import type { Test } from 'tap'
import type { ByteRange } from '../../../src/core/backend.ts'
import { readBody } from '../../support/app/read-body.ts'
import { until } from '../../support/time/until.ts'
import { callOptions, find, rejectsWith, requireMethod, skipReason, type Open } from './arrange.ts'

const LARGE_BYTES = 8 * 1024 * 1024

export function downloads(t: Test, open: Open): void {
  t.test('a download has the content and its metadata', async (t) => {
    const { backend, seed, busy, exceptions = {} } = await open(t)
    const content = randomBytes(100_000)
    await seed({ 'a.bin': content, 'empty.bin': '' })
    const entry = await find(backend, 'a.bin')
    const { body, ...metadata } = await backend.download(entry.id, callOptions())
    t.ok((await readBody(body)).equals(content))
    t.equal(metadata.size, content.length)
    t.equal(metadata.range, null)
    if (exceptions.listsNoVersions === undefined) t.equal(metadata.etag, entry.version)
    else t.same([entry.version, typeof metadata.etag], [null, 'string'], exceptions.listsNoVersions)
    t.equal(metadata.modifiedAt, entry.modifiedAt)
    t.equal(metadata.name, entry.name)
    t.equal(metadata.exportedAs, undefined, 'it is not an export')
    const empty = await backend.download((await find(backend, 'empty.bin')).id, callOptions())
    t.equal(empty.size, 0)
    t.equal((await readBody(empty.body)).length, 0)
    await until(async () => (await busy()) === 0)
  })

  t.test('a folder cannot be downloaded', async (t) => {
    const { backend, seed } = await open(t)
    await seed({ 'folder/a': 'a', 'empty/': '' })
    for (const name of ['folder', 'empty']) {
      await rejectsWith(t, backend.download((await find(backend, name)).id, callOptions()), 'OBJECT_NOT_FOUND', name)
    }
  })

  t.test('a range returns exactly its bytes', async (t) => {
    const { backend, seed } = await open(t)
    if (skipReason(backend.capabilities, 'rangeDownload') !== false) return t.pass('rangeDownload is unsupported')
    const content = randomBytes(1000)
    await seed({ 'a.bin': content, 'empty.bin': '' })
    const { id } = await find(backend, 'a.bin')
    const cases: [ByteRange, number, number][] = [
      [{ start: 0, end: 0 }, 0, 0],
      [{ start: 10, end: 19 }, 10, 19],
      [{ start: 500 }, 500, 999],
      [{ start: 999, end: 999 }, 999, 999],
      [{ start: 990, end: 5000 }, 990, 999],
      [{ suffix: 1 }, 999, 999],
      [{ suffix: 100 }, 900, 999],
      [{ suffix: 1000 }, 0, 999]
    ]
    for (const [range, start, end] of cases) {
      const { body, size, range: actualRange } = await backend.download(id, { ...callOptions(), range })
      const name = JSON.stringify(range)
      t.same(actualRange, { start, end }, name)
      t.equal(size, 1000, `${name} of the whole`)
      t.ok((await readBody(body)).equals(content.subarray(start, end + 1)), `${name}: the bytes`)
    }
    const empty = await find(backend, 'empty.bin')
    await rejectsWith(t, backend.download(id, { ...callOptions(), range: { start: 1000 } }), 'RANGE_NOT_SATISFIABLE')
    await rejectsWith(t, backend.download(id, { ...callOptions(), range: { suffix: 0 } }), 'RANGE_NOT_SATISFIABLE')
    await rejectsWith(
      t,
      backend.download(empty.id, { ...callOptions(), range: { start: 0, end: 0 } }),
      'RANGE_NOT_SATISFIABLE'
    )
    for (const range of [{ start: 5, end: 4 }, { start: -1 }, { start: 0.5 }, { suffix: -1 }, { start: NaN }]) {
      await rejectsWith(t, backend.download(id, { ...callOptions(), range }), 'INVALID_REQUEST', JSON.stringify(range))
    }
  })

  t.test('aborting ends a body with the reason and releases its resources', async (t) => {
    const { backend, seed, busy } = await open(t)
    await seed({ 'large.bin': randomBytes(LARGE_BYTES) })
    const { id } = await find(backend, 'large.bin')
    const controller = new AbortController()
    const { body } = await backend.download(id, { signal: controller.signal })
    await once(body, 'readable')
    t.ok((await busy()) > 0, 'the body holds a resource')
    const reason = new Error('enough')
    controller.abort(reason)
    t.equal(await readBody(body).catch((error: unknown) => error), reason)
    await until(async () => (await busy()) === 0)
  })

  t.test('destroying a body releases its resources, and a later abort has no effect', async (t) => {
    const { backend, seed, busy } = await open(t)
    await seed({ 'large.bin': randomBytes(LARGE_BYTES) })
    const { id } = await find(backend, 'large.bin')
    const controller = new AbortController()
    const unread = await backend.download(id, { signal: controller.signal })
    t.ok((await busy()) > 0, 'an unread body holds a resource too')
    unread.body.destroy()
    await until(async () => (await busy()) === 0)
    controller.abort()
    const half = await backend.download(id, callOptions())
    for await (const chunk of half.body) {
      t.ok(chunk)
      break
    }
    await until(async () => (await busy()) === 0)
  })

  t.test('many unread bodies do not block other calls', async (t) => {
    const { backend, seed, busy } = await open(t)
    await seed({ 'large.bin': randomBytes(LARGE_BYTES) })
    const { id } = await find(backend, 'large.bin')
    const unread = await Promise.all(Array.from({ length: 60 }, () => backend.download(id, callOptions())))
    t.equal((await backend.stat(id, callOptions())).size, LARGE_BYTES)
    for (const { body } of unread) body.destroy()
    await until(async () => (await busy()) === 0)
  })

  t.test('a link downloads the object as an attachment with its name', async (t) => {
    const { backend, seed } = await open(t)
    if (skipReason(backend.capabilities, 'downloadUrl') !== false) return t.pass('downloadUrl is unsupported')
    await seed({ 'folder/na"me \u{1f4be}.html': '<script>', 'plain.txt': 'plain' })
    const requestLink = requireMethod(backend.downloadUrl?.bind(backend))
    const isNative = backend.capabilities.downloadUrl === 'native'
    const createLink: typeof requestLink = (id, call) => requestLink(id, { ...call, acceptLonger: !isNative })
    const unusual = await find(backend, 'folder/na"me \u{1f4be}.html')
    const before = Date.now()
    const { url, expiresAt } = await createLink(unusual.id, { ...callOptions(), expiresInMs: 60_000 })
    t.ok(expiresAt.getTime() > before, 'the link is valid for some time')
    if (isNative) t.ok(expiresAt.getTime() <= Date.now() + 60_000, 'and expires in time')
    else
      await rejectsWith(
        t,
        requestLink(unusual.id, { ...callOptions(), expiresInMs: 60_000 }),
        'INVALID_REQUEST',
        'invalid lifetime'
      )
    const response = await fetch(url)
    t.equal(response.status, 200)
    t.equal(await response.text(), '<script>')
    const saved = parse(response.headers.get('content-disposition') ?? '')
    t.match(saved, { type: 'attachment', parameters: { filename: 'na"me \u{1f4be}.html' } })
    const plain = await createLink((await find(backend, 'plain.txt')).id, { ...callOptions(), expiresInMs: 300_000 })
    const second = await fetch(plain.url)
    t.equal(await second.text(), 'plain')
    t.match(parse(second.headers.get('content-disposition') ?? ''), {
      type: 'attachment',
      parameters: { filename: 'plain.txt' }
    })

    for (const expiresInMs of [300_001, 0, -1, NaN, Infinity]) {
      await rejectsWith(
        t,
        createLink(unusual.id, { ...callOptions(), expiresInMs }),
        'INVALID_REQUEST',
        String(expiresInMs)
      )
    }
    const folder = await find(backend, 'folder')
    await rejectsWith(t, createLink(folder.id, { ...callOptions(), expiresInMs: 1000 }), 'OBJECT_NOT_FOUND', 'a folder')
  })
}
