import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import type { StorageErrorCode } from '../../../src/errors.ts'
import type { StorageBackend, UploadCall } from '../../../src/core/backend.ts'
import { VALID_TOKENS, idOf, NEW_FILE, openOneDrive, startUploading } from '../../contract/harness/onedrive.ts'
import { callOptions, find, rejectsWith, requireMethod } from '../../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../../contract/suite/uploads.ts'
import { respondsWith, hangs, resets } from '../../fakes/faults.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FAKE_GRAPH_TOKEN, FakeGraph } from '../../fakes/graph/fake-graph.ts'
import { useManualTimers } from '../../support/time/manual-timers.ts'
import { until } from '../../support/time/until.ts'

const MIB = 1024 * 1024
const FRAGMENT = { method: 'PUT', host: 'content' }
const BEGIN = { method: 'POST', path: /createUploadSession$/ }
const json = (body: unknown, status = 200) => respondsWith(status, { body: JSON.stringify(body) })

t.test('4 MiB are uploaded in one call, and one byte more in a session', async (t) => {
  for (const kind of ['business', 'personal'] as const) {
    const { fake, uploadAndVerify, ranges } = await startUploading(t, { kind })
    for (const size of [0, 1, 4 * MIB]) {
      for (const options of [{}, { size }]) await uploadAndVerify(randomBytes(size), options)
    }
    t.same(ranges(), [])
    const [put] = fake.requests.filter(({ method }) => method === 'PUT')
    t.match(put?.headers, { 'content-type': 'application/x-test', authorization: `Bearer ${FAKE_GRAPH_TOKEN}` })
    for (const options of [{}, { size: 4 * MIB + 1 }]) await uploadAndVerify(randomBytes(4 * MIB + 1), options)
    t.same(ranges(), [`bytes 0-${4 * MIB}/${4 * MIB + 1}`, `bytes 0-${4 * MIB}/${4 * MIB + 1}`])
  }
})

t.test('a session is sent in fragments of 10 MiB, without the token', async (t) => {
  const { fragments, uploadAndVerify, ranges } = await startUploading(t)
  const total = 20 * MIB + 5
  const entry = await uploadAndVerify(randomBytes(total))
  t.match(entry, { size: total, name: 'new.bin', parentId: 'root' })
  t.same(ranges(), [
    `bytes 0-${10 * MIB - 1}/${total}`,
    `bytes ${10 * MIB}-${20 * MIB - 1}/${total}`,
    `bytes ${20 * MIB}-${total - 1}/${total}`
  ])
  for (const { headers } of fragments()) t.equal(headers['authorization'], undefined)
})

t.test('an existing name, in any case, leads to its file, and never replaces a folder', async (t) => {
  const { tree, backend, uploadAndVerify } = await startUploading(t)
  for (const bytes of [1, 5 * MIB]) {
    const first = await uploadAndVerify(randomBytes(bytes), {}, { parentId: null, name: `a ${bytes}.txt` })
    const second = await uploadAndVerify(randomBytes(bytes), {}, { parentId: null, name: `A ${bytes}.TXT` })
    t.equal(second.id, first.id)
    t.not(second.version, first.version)
    tree.addFolder({ name: `folder ${bytes}` })
    for (const options of [{}, { ifNoneMatch: '*' }] as const) {
      const over = upload(
        backend,
        { parentId: null, name: `folder ${bytes}` },
        chunkedStream(randomBytes(bytes)),
        options
      )
      await rejectsWith(t, over, 'ALREADY_EXISTS', 'over a folder')
    }
    const file = tree.addFile({ name: `file ${bytes}` })
    const into = upload(backend, { parentId: idOf(file), name: 'x' }, chunkedStream(randomBytes(bytes)))
    await rejectsWith(t, into, ['FOLDER_NOT_FOUND', 'INVALID_REQUEST'], 'into a file')
  }
})

t.test('a condition applies to a name as to an id', async (t) => {
  const { tree, fake, backend, uploadAndVerify } = await startUploading(t)
  for (const bytes of [1, 5 * MIB]) {
    const name = `a ${bytes}`
    const target = { parentId: null, name }
    const first = await uploadAndVerify(randomBytes(bytes), { ifNoneMatch: '*' }, target)
    const second = await uploadAndVerify(randomBytes(bytes), { ifMatch: first.version ?? '' }, target)
    t.equal(second.id, first.id)
    const again = (options: Partial<UploadCall>, to: Parameters<typeof upload>[1] = target) =>
      upload(backend, to, chunkedStream(randomBytes(bytes)), options)
    await rejectsWith(t, again({ ifMatch: first.version ?? '' }), 'PRECONDITION_FAILED')
    await rejectsWith(t, again({ ifNoneMatch: '*' }), 'ALREADY_EXISTS')
    await rejectsWith(t, again({ ifMatch: 'v' }, { parentId: null, name: 'nothing' }), 'PRECONDITION_FAILED')
    const before = fake.requests.length
    await rejectsWith(t, again({ ifNoneMatch: '*' }, { id: second.id }), 'ALREADY_EXISTS', 'by its id')
    t.same(
      fake.requests.slice(before).map(({ method }) => method),
      ['GET'],
      'no content is sent over the existing file'
    )
    const gone = `${tree.root.driveId}/${tree.newId()}`
    await rejectsWith(t, again({ ifNoneMatch: '*' }, { id: gone }), 'OBJECT_NOT_FOUND')
    await rejectsWith(t, again({ ifMatch: 'v' }, { parentId: gone, name }), 'FOLDER_NOT_FOUND')
    for (const ifMatch of ['', '*', '"', 'a b', 'é', 'v\n', 'x'.repeat(513)]) {
      await rejectsWith(t, again({ ifMatch }), 'PRECONDITION_FAILED', JSON.stringify(ifMatch))
    }
    t.same((await backend.stat(second.id, callOptions())).version, second.version)
  }
  t.ok(fake.requests.some(({ headers }) => /^"c:\{/.test(headers['if-match'] ?? '')))
})

t.test('a file that is created or changed during a session is not overwritten', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  const between = (act: () => void) => {
    let isDone = false
    fake.failNext(0, () => {}, {
      ...FRAGMENT,
      matching: () => {
        if (!isDone) act()
        isDone = true
        return false
      }
    })
  }
  const content = randomBytes(5 * MIB)
  between(() => tree.addFile({ name: 'new.bin', content: 'theirs' }))
  await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(content), { ifNoneMatch: '*' }), 'ALREADY_EXISTS')
  const { id, version } = await find(backend, 'new.bin')
  between(() => {
    tree.write(tree.children()[0] ?? '', 'theirs again')
  })
  const work = upload(backend, { id }, chunkedStream(content), { ifMatch: version ?? '' })
  await rejectsWith(t, work, 'PRECONDITION_FAILED')
  t.equal(tree.read(tree.children()[0] ?? '').toString(), 'theirs again')
  await until(() => fake.uploads.open === 0)
})

t.test('an upload works in a library of a site, over an existing file, and under all ids of the root', async (t) => {
  const { fake, tree, backend, uploadAndVerify } = await startUploading(t)
  const library = tree.addDrive({ name: 'Documents', site: tree.addSite({ name: 'Team' }) })
  const top = `${library.driveId}/root`
  const entry = await uploadAndVerify(Buffer.from('x'), {}, { parentId: top, name: 'x' })
  t.match(entry, { parentId: top, driveId: library.driveId })
  const { driveId, id } = tree.root
  for (const [index, parentId] of ['root', `${driveId}/root`, `${driveId}/${id}`].entries()) {
    const { backend: cold } = await openOneDrive(t, fake)
    const made = await upload(cold, { parentId, name: `file ${index}` }, chunkedStream(Buffer.from('x')))
    t.equal(made.parentId, 'root', parentId)
    const over = await upload((await openOneDrive(t, fake)).backend, { id: made.id }, chunkedStream(Buffer.from('y')))
    t.match(over, { id: made.id, parentId: 'root' })
    t.same(await backend.stat(made.id, callOptions()), over)
  }
})

t.test('an unconditional upload that conflicts with another writer is LOCKED', async (t) => {
  const { fake, tree, backend, uploadAndVerify } = await startUploading(t)
  const theirs = tree.addFile({ name: 'new.bin', content: 'theirs' })
  for (const [bytes, begin] of [
    [1, { method: 'PUT' }],
    [5 * MIB, BEGIN],
    [5 * MIB, FRAGMENT]
  ] as const) {
    for (const target of [NEW_FILE, { id: idOf(theirs) }]) {
      for (const fault of [{ code: 'resourceModified', status: 409 }, { code: 'nameAlreadyExists' }]) {
        fake.failNext(1, fault, begin)
        const error = await upload(backend, target, chunkedStream(randomBytes(bytes))).catch((error: unknown) => error)
        t.match(error, { code: 'LOCKED', retryable: true }, fault.code)
      }
      const { version } = await backend.stat(idOf(theirs), callOptions())
      fake.failNext(1, { code: 'resourceModified', status: 409 }, begin)
      const conditional = upload(backend, target, chunkedStream(randomBytes(bytes)), { ifMatch: version ?? '' })
      await rejectsWith(t, conditional, 'PRECONDITION_FAILED', 'with a condition')
    }
    fake.failNext(1, { code: 'nameAlreadyExists' }, begin)
    const nothing = { parentId: null, name: 'nothing' }
    await rejectsWith(t, upload(backend, nothing, chunkedStream(randomBytes(bytes))), 'LOCKED', 'it is not visible yet')
    fake.failNext(1, { code: 'nameAlreadyExists' }, begin)
    const isNew = upload(backend, nothing, chunkedStream(randomBytes(bytes)), { ifNoneMatch: '*' })
    await rejectsWith(t, isNew, 'ALREADY_EXISTS')
  }
  await until(() => fake.uploads.open === 0)
  await uploadAndVerify(Buffer.from('x'))
})

t.test('an upload into a shortcut goes to its target', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  const elsewhere = tree.addDrive({ name: 'of somebody' })
  const folder = tree.addFolder({ name: 'shared folder', parent: elsewhere })
  const file = tree.addFile({ name: 'shared.txt', parent: elsewhere, content: 'old' })
  const toFolder = tree.addRemote({ name: 'to folder', target: folder })
  const toFile = tree.addRemote({ name: 'to file', target: file })
  const create = requireMethod(backend.createFolder?.bind(backend))
  const made = await create(idOf(toFolder), 'made', callOptions())
  t.match(made, { parentId: idOf(folder), driveId: elsewhere.driveId })
  t.same(await backend.stat(made.id, callOptions()), made)
  await rejectsWith(t, create(idOf(toFolder), 'made', callOptions()), 'ALREADY_EXISTS')
  await rejectsWith(t, create(idOf(toFile), 'x', callOptions()), ['FOLDER_NOT_FOUND', 'INVALID_REQUEST'], 'into a file')
  for (const bytes of [5, 5 * MIB]) {
    const content = randomBytes(bytes)
    const target = { parentId: idOf(toFolder), name: `a ${bytes}` }
    const stored = await upload(backend, target, chunkedStream(content))
    t.match(stored, { parentId: idOf(folder), size: bytes })
    t.ok(tree.read(stored.id.split('/')[1] ?? '').equals(content))
    await rejectsWith(t, upload(backend, target, chunkedStream(content), { ifNoneMatch: '*' }), 'ALREADY_EXISTS')
    const over = upload(backend, { ...target, name: 'made' }, chunkedStream(content))
    await rejectsWith(t, over, 'ALREADY_EXISTS', 'over a folder in the target')
    const { version } = await backend.stat(idOf(file), callOptions())
    const options = { ifMatch: version ?? '' }
    const replaced = await upload(backend, { id: idOf(toFile) }, chunkedStream(content), options)
    t.equal(replaced.id, idOf(file))
    t.ok(tree.read(file).equals(content))
    const again = upload(backend, { id: idOf(toFile) }, chunkedStream(content), options)
    await rejectsWith(t, again, 'PRECONDITION_FAILED')
  }
  const normal = tree.addFolder({ name: 'folder' })
  const before = fake.requests.length
  await upload(backend, { parentId: idOf(normal), name: 'x' }, chunkedStream(Buffer.from('x')))
  await create(idOf(normal), 'y', callOptions())
  t.equal(fake.requests.length - before, 2, 'a parent that is not a shortcut needs a call')
  await requireMethod(backend.remove?.bind(backend))(idOf(toFile), callOptions())
  t.match(tree.recycleBin, [{ id: toFile.id }])
  t.ok(tree.find(file.id, file.driveId), 'only the shortcut is removed')
  tree.remove(folder)
  await rejectsWith(t, create(idOf(toFolder), 'x', callOptions()), 'FOLDER_NOT_FOUND', 'the target has been removed')
})

t.test('an eTag is sent as Microsoft returned it', async (t) => {
  for (const [kind, form] of [
    ['business', /^"c:\{[\w-]+\},\d+"$/],
    ['personal', /^[\w-]+$/]
  ] as const) {
    const { fake, backend, uploadAndVerify } = await startUploading(t, { kind })
    for (const bytes of [1, 5 * MIB]) {
      const { id, version } = await uploadAndVerify(randomBytes(bytes))
      await uploadAndVerify(randomBytes(bytes), { ifMatch: version ?? '' }, { id })
      const again = upload(backend, { id }, chunkedStream(randomBytes(bytes)), { ifMatch: version ?? '' })
      await rejectsWith(t, again, 'PRECONDITION_FAILED', kind)
      const before = fake.requests.length
      for (const ifMatch of ['*', 'a,b', 'a,*', '"a"']) {
        const wild = upload(backend, { id }, chunkedStream(randomBytes(bytes)), { ifMatch })
        await rejectsWith(t, wild, 'PRECONDITION_FAILED', ifMatch)
      }
      t.equal(fake.requests.length, before, 'no wildcard and no list is sent')
    }
    const tags = fake.requests.flatMap(({ headers }) => headers['if-match'] ?? [])
    t.equal(tags.length, 4)
    for (const tag of tags) t.match(tag, form)
  }
})

t.test('a small upload is not limited by the timeout of other calls', async (t) => {
  const fake = await FakeGraph.start(t)
  const tick = useManualTimers(t)
  const egress = openEgress({ timeouts: { totalMs: 300 } })
  const { backend } = await openOneDrive(t, fake, VALID_TOKENS, egress)
  const body = { id: 'X', name: 'new.bin', size: 1, file: {}, parentReference: { driveId: fake.tree.root.driveId } }
  fake.failNext(
    1,
    (_request, response) => {
      tick(600)
      response.writeHead(201).end(JSON.stringify(body))
    },
    { method: 'PUT' }
  )
  t.equal((await upload(backend, NEW_FILE, chunkedStream(Buffer.from('x')))).size, 1)
  fake.failNext(1, respondsWith(200, { body: '<html>' }), { method: 'PUT' })
  await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(Buffer.from('x'))), 'PROVIDER_ERROR', 'an HTML page')
})

t.test('data for the entry is requested before anything is written', async (t) => {
  const { fake, tree } = await startUploading(t)
  const library = tree.addDrive({ name: 'Documents', site: tree.addSite({ name: 'Team' }) })
  const file = tree.addFile({ name: 'file', content: 'before' })
  const top = `${library.driveId}/root`
  for (const write of [
    (backend: StorageBackend) => upload(backend, { parentId: top, name: 'x' }, chunkedStream(Buffer.from('x'))),
    (backend: StorageBackend) => upload(backend, { id: idOf(file) }, chunkedStream(Buffer.from('x'))),
    (backend: StorageBackend) => requireMethod(backend.createFolder?.bind(backend))(top, 'x', callOptions())
  ]) {
    fake.failNext(1, respondsWith(500), { path: '/v1.0/me/drive' })
    await rejectsWith(t, write((await openOneDrive(t, fake)).backend), 'PROVIDER_UNAVAILABLE')
  }
  t.same(tree.children(library), [])
  t.equal(tree.read(file).toString(), 'before')
})

t.test('a refused upload has the reason', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  for (const bytes of [5, 5 * MIB]) {
    fake.knobs.quotaBytes = 3
    await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(randomBytes(bytes))), 'QUOTA_EXCEEDED')
    fake.knobs.quotaBytes = undefined
    const locked = tree.addFile({ name: `locked ${bytes}`, locked: true })
    await rejectsWith(t, upload(backend, { id: idOf(locked) }, chunkedStream(randomBytes(bytes))), 'LOCKED')
    const target = { parentId: null, name: 'x', mimeType: 'no type' }
    await rejectsWith(t, upload(backend, target, chunkedStream(randomBytes(bytes))), 'INVALID_REQUEST')
    const denied = tree.addFolder({ name: `denied ${bytes}`, denied: true })
    const into = { parentId: idOf(denied), name: 'x' }
    await rejectsWith(t, upload(backend, into, chunkedStream(randomBytes(bytes))), 'ACCESS_DENIED')
  }
  const site = { parentId: 'site:a.example,b,c', name: 'x' }
  await rejectsWith(t, upload(backend, site, chunkedStream(Buffer.from('x'))), 'FOLDER_NOT_FOUND', 'into a site')
  await until(() => fake.uploads.open === 0)
})

t.test('bytes of a fragment that Microsoft has stored are not sent again, and the rest is', async (t) => {
  const { fake, uploadAndVerify, ranges } = await startUploading(t)
  const UNIT = 320 * 1024
  fake.knobs.storedFragmentBytes.push(3 * UNIT, 0, UNIT, 10 * MIB, 0)
  await uploadAndVerify(randomBytes(11 * MIB))
  const last = `${10 * MIB - 1}/${11 * MIB}`
  t.same(ranges(), [
    `bytes 0-${last}`,
    `bytes ${3 * UNIT}-${last}`,
    `bytes ${3 * UNIT}-${last}`,
    `bytes ${4 * UNIT}-${last}`,
    `bytes ${10 * MIB}-${11 * MIB - 1}/${11 * MIB}`,
    `bytes ${10 * MIB}-${11 * MIB - 1}/${11 * MIB}`
  ])
})

t.test('an upload survives transient failures of any of its fragments', async (t) => {
  const content = randomBytes(11 * MIB)
  const faults = {
    '503': respondsWith(503),
    '500': respondsWith(500),
    '429': respondsWith(429, { retryAfter: 0 }),
    '416': respondsWith(416),
    throttle: { code: 'activityLimitReached', headers: { 'retry-after': '0' } },
    reset: resets(),
    page: respondsWith(200, { body: '<html>' })
  }
  const outlives = async (name: string, fault: (typeof faults)[keyof typeof faults], early: boolean) => {
    const { fake, uploadAndVerify } = await startUploading(t)
    for (const after of [0, 1]) {
      fake.failNext(1, fault, { ...FRAGMENT, after, early })
      await uploadAndVerify(content, {}, { parentId: null, name: `${name} ${after}` })
    }
    const asked = fake.requests.filter(({ method, host }) => method === 'GET' && host === 'content')
    if (!early) t.equal(asked.length, 2, `${name}: the offset is requested`)
    for (const { headers } of asked) t.equal(headers['authorization'], undefined)
  }
  await Promise.all(Object.entries(faults).map(([name, fault]) => outlives(name, fault, false)))
  await Promise.all([outlives('early 503', faults['503'], true), outlives('early reset', faults.reset, true)])
})

t.test('each stored fragment resets the count of failures', async (t) => {
  const { fake, uploadAndVerify, fragments } = await startUploading(t)
  const tries = new Map<string, number>()
  const isOneOfTwo = ({ headers }: { headers: { 'content-range'?: string } }): boolean => {
    const range = headers['content-range'] ?? ''
    tries.set(range, (tries.get(range) ?? 0) + 1)
    return (tries.get(range) ?? 0) <= 2
  }
  fake.failNext(6, respondsWith(503), { ...FRAGMENT, matching: isOneOfTwo })
  await uploadAndVerify(randomBytes(20 * MIB + 5))
  t.equal(fragments().length, 9)
})

t.test('a fragment has a longer timeout than a metadata call', async (t) => {
  const fake = await FakeGraph.start(t)
  const tick = useManualTimers(t)
  const egress = openEgress({ timeouts: { totalMs: 300 } })
  const { backend } = await openOneDrive(t, fake, VALID_TOKENS, egress)
  const timePasses = (): boolean => {
    tick(600)
    return false
  }
  fake.failNext(1, respondsWith(503), { ...FRAGMENT, matching: timePasses })
  t.equal((await upload(backend, NEW_FILE, chunkedStream(randomBytes(11 * MIB)))).size, 11 * MIB)
  t.equal(fake.requests.filter(({ host }) => host === FRAGMENT.host).length, 2, 'each fragment is sent once')
})

t.test('after a lost response the state of the session is requested', async (t) => {
  for (const kind of ['business', 'personal'] as const) {
    const { fake, uploadAndVerify, ranges } = await startUploading(t, { kind })
    fake.knobs.lostFragmentResponses = 1
    await uploadAndVerify(randomBytes(11 * MIB))
    t.equal(ranges().length, 2, 'no fragment is sent twice')
    for (const target of [NEW_FILE, { parentId: null, name: 'other.bin' }]) {
      fake.knobs.lostFragmentResponses = 1
      t.equal((await uploadAndVerify(randomBytes(5 * MIB), {}, target)).size, 5 * MIB, 'after a lost last response')
    }
    const { id } = await uploadAndVerify(randomBytes(5 * MIB))
    fake.knobs.lostFragmentResponses = 1
    t.equal((await uploadAndVerify(randomBytes(5 * MIB), {}, { id })).id, id)
  }
})

t.test('after a lost session an older file, or one of another size, is not mistaken for the upload', async (t) => {
  const now = { date: new Date('2026-11-01T00:00:00Z') }
  const { fake, tree, backend } = await startUploading(t, { now: () => now.date })
  const content = randomBytes(5 * MIB)
  tree.addFile({ name: 'new.bin', content })
  const vanish = () => {
    fake.failNext(
      1,
      (_request, response) => {
        fake.expireUploadSessions()
        response.socket?.destroy()
      },
      FRAGMENT
    )
  }
  vanish()
  await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(content)), 'PROVIDER_UNAVAILABLE', 'equal, but older')
  now.date = new Date(Date.now() + 60_000)
  tree.write(tree.children()[0] ?? '', 'other')
  vanish()
  await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(content)), 'PROVIDER_UNAVAILABLE', 'newer, but shorter')
  vanish()
  const nothing = { parentId: null, name: 'nothing' }
  await rejectsWith(t, upload(backend, nothing, chunkedStream(content)), 'PROVIDER_UNAVAILABLE', 'no file')
  // Another user's file that has changed meanwhile: it existed before, and the upload must create a new one.
  const theirs = tree.addFile({ name: 'theirs', created: new Date('2026-01-01T00:00:00Z') })
  tree.rename(theirs, 'moved')
  const isNew = { parentId: null, name: 'theirs' }
  fake.failNext(
    1,
    (_request, response) => {
      tree.rename(theirs, 'theirs')
      tree.write(theirs, content)
      fake.expireUploadSessions()
      response.socket?.destroy()
    },
    FRAGMENT
  )
  const made = upload(backend, isNew, chunkedStream(content), { ifNoneMatch: '*' })
  await rejectsWith(t, made, 'PROVIDER_UNAVAILABLE', 'changed, but not created')
  fake.expireUploadSessions()
  tree.write(tree.children()[0] ?? '', randomBytes(11 * MIB))
  fake.failNext(1, respondsWith(404), { ...FRAGMENT })
  const two = upload(backend, NEW_FILE, chunkedStream(randomBytes(11 * MIB)))
  await rejectsWith(t, two, 'PROVIDER_UNAVAILABLE', 'lost before its last fragment')
})

t.test('an upload fails when Microsoft accepts no more data', async (t) => {
  const ends = async (fault: Parameters<FakeGraph['failNext']>[1], code: StorageErrorCode) => {
    const { fake, backend, tree, fragments } = await startUploading(t)
    fake.failNext(100, fault, FRAGMENT)
    const body = chunkedStream(randomBytes(11 * MIB))
    await rejectsWith(t, upload(backend, NEW_FILE, body), code)
    t.equal(body.destroyed, true)
    t.ok(fragments().length <= 8, `${fragments().length} attempts`)
    t.same(tree.children(), [])
    await until(() => fake.uploads.open === 0)
  }
  await Promise.all([
    ends(respondsWith(503), 'PROVIDER_UNAVAILABLE'),
    ends(respondsWith(416), 'PROVIDER_UNAVAILABLE'),
    ends(json({ nextExpectedRanges: ['0-'] }, 202), 'PROVIDER_UNAVAILABLE'),
    ends(resets(), 'PROVIDER_UNAVAILABLE'),
    ends({ code: 'activityLimitReached', headers: { 'retry-after': '3600' } }, 'PROVIDER_THROTTLED'),
    ends({ code: 'quotaLimitReached' }, 'QUOTA_EXCEEDED'),
    ends({ code: 'accessDenied' }, 'ACCESS_DENIED'),
    ends({ code: 'unauthenticated' }, 'ACCESS_DENIED'),
    ends({ code: 'nameAlreadyExists' }, 'LOCKED'),
    ends({ code: 'itemNotFound' }, 'PROVIDER_UNAVAILABLE'),
    ends(respondsWith(410), 'PROVIDER_UNAVAILABLE'),
    ends(json({ nextExpectedRanges: ['99999999-'] }, 202), 'PROVIDER_ERROR'),
    ends(json({ nextExpectedRanges: ['x'] }, 202), 'PROVIDER_ERROR'),
    ends(json({ nextExpectedRanges: [7] }, 202), 'PROVIDER_ERROR'),
    ends(json({}, 202), 'PROVIDER_ERROR'),
    ends(json({ id: 'x', name: 'new.bin', size: 11 * MIB }), 'PROVIDER_ERROR')
  ])
})

t.test('a count of bytes that were not sent ends an upload at once', async (t) => {
  const { fake, backend, fragments } = await startUploading(t)
  for (const [after, range] of [
    [0, `${10 * MIB + 1}-`],
    [1, '0-'],
    [1, `${10 * MIB - 1}-`]
  ] as const) {
    const before = fragments().length
    fake.failNext(1, json({ nextExpectedRanges: [range] }, 202), { ...FRAGMENT, after })
    await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(randomBytes(11 * MIB))), 'PROVIDER_ERROR', range)
    t.equal(fragments().length - before, after + 1)
  }
})

t.test('a response with a smaller size, another name or no id fails the upload', async (t) => {
  const { fake, backend, tree } = await startUploading(t)
  const parentReference = { driveId: tree.root.driveId, id: tree.root.id, path: '/drive/root:' }
  for (const bytes of [MIB, 5 * MIB]) {
    const limits = { method: 'PUT' }
    const item = { id: 'X', name: 'new.bin', size: bytes, file: {}, parentReference }
    for (const [name, body] of Object.entries({
      less: { ...item, size: bytes - 1 },
      'no size': { ...item, size: undefined },
      'another name': { ...item, name: 'new 1.bin' },
      'no name': { ...item, name: undefined },
      'no id': { ...item, id: undefined },
      'no drive': { ...item, parentReference: undefined }
    })) {
      fake.failNext(1, json(body), limits)
      await rejectsWith(t, upload(backend, NEW_FILE, chunkedStream(randomBytes(bytes))), 'PROVIDER_ERROR', name)
    }
    fake.failNext(1, json({ ...item, size: bytes + 100 }), limits)
    const grown = await upload(backend, NEW_FILE, chunkedStream(randomBytes(bytes)))
    t.equal(grown.size, bytes + 100, 'SharePoint writes properties into documents')
  }
  t.same(tree.children(), [])
})

t.test('a session URL at another host is refused and not requested', async (t) => {
  const other = await FakeGraph.start(t)
  const { fake, backend, fragments } = await startUploading(t)
  const user = fake.contentUrl.replace('//', '//user:password@')
  for (const uploadUrl of [
    `${other.contentUrl}/up/x`,
    fake.url,
    'https://example.com/',
    `${user}/up/x`,
    '/up/x',
    '',
    7
  ]) {
    fake.failNext(1, json({ uploadUrl }), BEGIN)
    const work = upload(backend, NEW_FILE, chunkedStream(randomBytes(5 * MIB)))
    await rejectsWith(t, work, 'PROVIDER_ERROR', String(uploadUrl))
  }
  for (const fault of [json({}), respondsWith(200, { body: '<html>' })]) {
    fake.failNext(1, fault, BEGIN)
    await rejectsWith(
      t,
      upload(backend, NEW_FILE, chunkedStream(randomBytes(5 * MIB))),
      'PROVIDER_ERROR',
      'no session URL'
    )
  }
  t.equal(other.requests.length, 0)
  t.equal(fragments().length, 0)
})

t.test('a failing source and an abort cancel the session', async (t) => {
  const { fake, tree, backend } = await startUploading(t)
  const size = 21 * MIB
  const failing = Readable.from(
    (function* () {
      yield randomBytes(20 * MIB)
      throw new Error('the client has left')
    })()
  )
  await rejectsWith(t, upload(backend, NEW_FILE, failing, { size }), 'INVALID_REQUEST')
  await until(() => fake.uploads.open === 0)
  t.match(fake.requests.at(-1), { method: 'DELETE', host: 'content' })
  t.equal(fake.requests.at(-1)?.headers['authorization'], undefined)

  for (const fault of [hangs(), respondsWith(503, { retryAfter: 20 })]) {
    const controller = new AbortController()
    const reason = new Error('enough')
    fake.failNext(1, fault, FRAGMENT)
    const before = fake.requests.length
    const work = upload(backend, NEW_FILE, chunkedStream(randomBytes(5 * MIB)), { signal: controller.signal })
    await until(() => fake.requests.slice(before).some(({ host, body }) => host === 'content' && body !== undefined))
    controller.abort(reason)
    t.equal(await work.catch((error: unknown) => error), reason)
    await until(() => fake.uploads.open === 0)
  }
  t.same(tree.children(), [])
})

t.test('at most one fragment is buffered while Microsoft is slow', async (t) => {
  const { fake, backend } = await startUploading(t)
  let given = 0
  const body = new Readable({
    highWaterMark: 64 * 1024,
    read() {
      given += MIB
      this.push(given > 64 * MIB ? null : Buffer.alloc(MIB))
    }
  })
  const controller = new AbortController()
  fake.failNext(1, hangs(), FRAGMENT)
  const work = upload(backend, NEW_FILE, body, { size: 64 * MIB, signal: controller.signal })
  await until(() => fake.requests.some(({ host, body }) => host === 'content' && body !== undefined))
  t.ok(given <= 14 * MIB, `${given} bytes were read from the source`)
  controller.abort(new Error('enough'))
  await work.catch(() => {})
})
