import t, { type Test } from 'tap'
import { type Change, ROOT_SCOPE } from '../../../src/core/change-feed.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { openBox } from '../../contract/harness/box.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { FakeBox, type FakeBoxOptions } from '../../fakes/box/fake-box.ts'
import type { FakeBoxNode } from '../../fakes/box/node.ts'
import { respondsWith } from '../../fakes/faults.ts'
import { rejectionOf } from '../../support/rejection.ts'

const EVENTS = '/2.0/events'
const UNKNOWN = { id: null, path: null, parentId: null, isFolder: null, isGone: false, concerns: 'item' }

async function start(t: Test, options?: FakeBoxOptions) {
  const fake = await FakeBox.start(t, options)
  const { backend } = await openBox(t, fake)
  const requests = () => fake.requests.filter(({ path }) => path === EVENTS)
  return { fake, tree: fake.tree, backend, requests, read: reader(backend) }
}

const positionOf = (backend: StorageBackend) => backend.position!(ROOT_SCOPE, callOptions())
const changesOf = async (backend: StorageBackend, position: string) => {
  const page = await backend.changes!(ROOT_SCOPE, position, callOptions())
  if (page === 'lost') throw new Error('the position is lost')
  return page
}

/** Returns a function that reads the feed to its end, from where the last call ended. */
function reader(backend: StorageBackend) {
  let position: string | undefined
  return async () => {
    position ??= await positionOf(backend)
    const found: Change[] = []
    for (let hasMore = true; hasMore;) {
      const page = await changesOf(backend, position)
      found.push(...page.changes)
      position = page.position
      hasMore = page.hasMore
    }
    return found
  }
}

const idOf = ({ type, id }: FakeBoxNode) => `${type === 'web_link' ? 'link' : type}:${id}`
const itemOf = (node: FakeBoxNode, parentId: string | null, isGone = false) => ({
  ...UNKNOWN,
  id: idOf(node),
  parentId,
  isFolder: node.type === 'folder',
  isGone
})

t.test('every page of the account is covered by one feed', async (t) => {
  const { tree, backend, requests } = await start(t)
  const parent = tree.addFolder({ name: 'folder' })
  tree.addFiles(5, (index) => ({ name: `${index}`, parent }))
  t.equal(backend.capabilities.changes, 'native')
  t.notOk('isCurrent' in backend)
  const options = { ...callOptions(), limit: 3 }
  const page = await backend.listFolder(idOf(parent), options)
  t.same(page.freshness, { scope: ROOT_SCOPE })
  t.same((await backend.listFolder(null, options)).freshness, { scope: ROOT_SCOPE })
  t.match(await backend.listFolder(idOf(parent), { ...options, cursor: page.next ?? '' }), {
    complete: true,
    freshness: { scope: ROOT_SCOPE }
  })
  t.same(requests(), [], 'listing takes no request for it')
  tree.addFile({ name: 'hidden', parent, hidden: true })
  let last = await backend.listFolder(idOf(parent), options)
  while (last.next !== null) last = await backend.listFolder(idOf(parent), { ...options, cursor: last.next })
  t.match(last, { reason: 'provider-partial', freshness: null }, 'a page that may lack entries is not covered')
})

t.test('a check costs one request, with the exact position', async (t) => {
  const { fake, tree, backend, requests } = await start(t)
  for (const positionType of ['number', 'string'] as const) {
    fake.knobs.positionType = positionType
    for (let count = 0; count < 4; count += 1) {
      const position = await positionOf(backend)
      const before = requests().length
      const { changes, hasMore, position: next } = await changesOf(backend, position)
      t.same([changes, hasMore, requests().length - before], [[], false, 1])
      t.equal(next.split('.')[0], position.split('.')[0])
      t.ok(next.length < 50)
      tree.addFile({ name: `${positionType} ${count}` })
      t.equal((await changesOf(backend, next)).changes.length, 1)
      t.equal(requests().length - before, 3, 'two requests if something has changed')
    }
  }
  const positions = requests().map(({ query }) => {
    t.match(Object.fromEntries(query), { stream_type: 'changes', limit: '500' })
    return query.get('stream_position') ?? ''
  })
  t.equal(positions[0], 'now')
  t.equal(positions[1], '1152922976252290886')
  t.not(String(Number(positions[1])), positions[1], 'not a number of JavaScript')
})

t.test('a change is reported with the item and the folder that contains it now', async (t) => {
  for (const eventSource of ['item', 'event-source'] as const) {
    const { fake, tree, read } = await start(t)
    fake.knobs.eventSource = eventSource
    const [a, b] = [tree.addFolder({ name: 'a' }), tree.addFolder({ name: 'b' })]
    const [file, folder] = [tree.addFile({ name: 'file', parent: a }), tree.addFolder({ name: 'f', parent: a })]
    tree.addFile({ name: 'below', parent: b })
    t.same(await read(), [])
    const reports = async (name: string, change: () => object) => {
      const expected = change()
      t.same(await read(), [expected], `${name}, ${eventSource}`)
      t.same(await read(), [], 'once')
    }
    await reports('create', () => itemOf(tree.addFile({ name: 'new', parent: a }), idOf(a)))
    await reports('create in the root', () => itemOf(tree.addFolder({ name: 'new' }), 'folder:0'))
    await reports('create a link', () => itemOf(tree.addWebLink({ name: 'l', parent: a, url: 'x:' }), idOf(a)))
    await reports('create a package', () => itemOf(tree.addPackage({ name: 'p', parent: a }), idOf(a)))
    await reports('rename', () => {
      tree.rename(file, 'other')
      return itemOf(file, idOf(a))
    })
    await reports('new content', () => {
      tree.write(file, 'new')
      return itemOf(file, idOf(a))
    })
    await reports('move', () => {
      tree.move(file, b)
      return itemOf(file, idOf(b))
    })
    await reports('move of a folder', () => {
      tree.move(folder, b)
      return itemOf(folder, idOf(b))
    })
    await reports('trash', () => {
      tree.trash(file)
      return itemOf(file, 'folder:1', true)
    })
    await reports('restore', () => {
      tree.restore(file)
      return itemOf(file, idOf(b))
    })
    await reports('trash of a folder', () => {
      tree.trash(b)
      return itemOf(b, 'folder:1', true)
    })
    tree.remove(b)
    t.same(await read(), [], 'the end of an item in the trash')
    await reports('permanent removal', () => {
      tree.remove(a)
      return itemOf(a, 'folder:1', true)
    })
  }
})

t.test('collaborations concern the roots, and the folder itself', async (t) => {
  const { fake, tree, read } = await start(t)
  const parent = tree.addFolder({ name: 'parent' })
  const folder = tree.addFolder({ name: 'shared', parent })
  await read()
  for (const [type, isGone] of [
    ['COLLAB_ADD_COLLABORATOR', false],
    ['COLLAB_INVITE_COLLABORATOR', false],
    ['COLLAB_ROLE_CHANGE', false],
    ['COLLAB_REMOVE_COLLABORATOR', true]
  ] as const) {
    fake.events.record(type, folder)
    t.same(await read(), [{ ...itemOf(folder, idOf(parent), isGone), concerns: 'roots' }], type)
  }
  fake.events.record('ITEM_RENAME', { ...folder, parent: undefined })
  const isInRoot = { ...itemOf(folder, null), concerns: 'roots' }
  t.same(await read(), [isInRoot], 'an item whose folder the user cannot access')
})

t.test('events that no listing shows are left out, and unknown ones are unknown changes', async (t) => {
  const { fake, tree, backend, read } = await start(t)
  const file = tree.addFile({ name: 'file' })
  await read()
  for (const type of ['ITEM_PREVIEW', 'ITEM_DOWNLOAD', 'COMMENT_CREATE', 'TASK_CREATE', 'ITEM_SHARED_CREATE']) {
    fake.events.record(type, file)
  }
  t.same(await read(), [])
  for (const type of ['ITEM_TELEPORT', 'GROUP_ADD_USER', 'ACCESS_REVOKED', '']) {
    fake.events.record(type, file)
    t.same(await read(), [UNKNOWN], type)
  }
  fake.events.record('LOCK_DESTROY')
  t.same(await read(), [UNKNOWN], 'the lock of a file that was deleted')
  const position = await positionOf(backend)
  for (const event of [
    null,
    'x',
    5,
    {},
    { event_type: 5, source: file },
    { event_type: 'ITEM_MOVE' },
    { event_type: 'ITEM_MOVE', source: 'x' },
    { event_type: 'ITEM_MOVE', source: { type: 'user', id: '1' } },
    { event_type: 'ITEM_MOVE', source: { type: 'file', id: 'x/y' } },
    { event_type: 'ITEM_MOVE', source: { type: 'file', id: '1'.repeat(21) } },
    { event_type: 'ITEM_MOVE', source: { type: 'file', id: 1 } }
  ]) {
    const body = JSON.stringify({ entries: [event], next_stream_position: 1 })
    fake.failNext(1, respondsWith(200, { body }), { path: EVENTS })
    fake.failNext(1, respondsWith(200, { body: '{"entries":[],"next_stream_position":1}' }), { path: EVENTS })
    const { changes } = await changesOf(backend, position)
    t.same(changes, [UNKNOWN], JSON.stringify(event))
  }
})

t.test('equal changes are reported once, in any order of the events', async (t) => {
  const { tree, backend } = await start(t)
  const [a, b] = [tree.addFolder({ name: 'a' }), tree.addFolder({ name: 'b' })]
  const file = tree.addFile({ name: 'file', parent: a })
  const position = await positionOf(backend)
  for (let count = 0; count < 10; count += 1) tree.write(file, `${count}`)
  tree.move(file, b)
  const { changes } = await changesOf(backend, position)
  // The fake returns the latest event first.
  t.same(changes, [itemOf(file, idOf(b)), itemOf(file, idOf(a))])
})

t.test('many changes are read in several pages', async (t) => {
  const { fake, tree, backend, requests } = await start(t)
  const parent = tree.addFolder({ name: 'folder' })
  const position = await positionOf(backend)
  const ids = tree.addFiles(1800, (index) => ({ name: `${index}`, parent })).map(idOf)
  const before = requests().length
  const first = await changesOf(backend, position)
  t.equal(requests().length - before, 3)
  t.match(first, { hasMore: true })
  t.equal(first.changes.length, 1500)
  t.ok(first.position.length <= 4096 && first.position.length > 3000)
  const second = await changesOf(backend, first.position)
  t.match(second, { hasMore: false })
  t.same([...first.changes, ...second.changes].map(({ id }) => id).sort(), [...ids].sort())
  fake.knobs.eventPageLimit = 2
  tree.addFiles(5, (index) => ({ name: `more ${index}`, parent }))
  const short = await changesOf(backend, second.position)
  t.match(short, { hasMore: true })
  t.equal(short.changes.length, 5, 'a short page is not the last one')
  t.match(await changesOf(backend, short.position), { hasMore: false, changes: [] })
})

t.test('repeated events are ignored, in the same call and in later ones', async (t) => {
  const { fake, tree, backend, requests, read } = await start(t)
  const parent = tree.addFolder({ name: 'folder' })
  await read()
  const countOf = async (position: string) => {
    const before = requests().length
    const page = await changesOf(backend, position)
    return { ...page, count: requests().length - before }
  }
  Object.assign(fake.knobs, { repeatsLastEvents: true, repeatedEvents: 3 })
  let position = await positionOf(backend)
  for (let round = 0; round < 5; round += 1) {
    tree.addFiles(4, (index) => ({ name: `${round} ${index}`, parent }))
    const changed = await countOf(position)
    t.match(changed, { hasMore: false, count: 2 })
    t.equal(changed.changes.length, round === 0 ? 5 : 4, 'the first call cannot know the events before it')
    const quiet = await countOf(changed.position)
    t.match(quiet, { hasMore: false, count: 1, changes: [] })
    const still = await countOf(quiet.position)
    t.match(still, { hasMore: false, count: 1, changes: [] })
    position = still.position
  }
})

t.test('a stream that always has new events ends the call, not the reading', async (t) => {
  const { fake, backend, requests } = await start(t)
  const position = await positionOf(backend)
  let next = 1_152_922_976_252_290_886n
  fake.failNext(
    6,
    (_request, response) => {
      const entries = `[{"event_type":"ITEM_MOVE","event_id":"${++next}","source":{"type":"file","id":"${next}"}}]`
      response.writeHead(200).end(`{"entries":${entries},"next_stream_position":${next}}`)
    },
    { path: EVENTS }
  )
  const first = await changesOf(backend, position)
  t.match(first, { hasMore: true, changes: [{}, {}, {}] })
  t.match(await changesOf(backend, first.position), { hasMore: true, changes: [{}, {}, {}] })
  t.equal(requests().at(-1)?.query.get('stream_position'), '1152922976252290891')
})

t.test('a change is noticed as soon as Box reports it', async (t) => {
  let now = Date.UTC(2026, 0, 1)
  const { fake, tree, read } = await start(t, { now: () => new Date(now) })
  const file = tree.addFile({ name: 'file' })
  fake.knobs.eventLagMs = 3000
  now += 3000
  await read()
  tree.rename(file, 'other')
  now += 2999
  t.same(await read(), [])
  now += 1
  t.same(await read(), [itemOf(file, 'folder:0')])
})

t.test('a position that Box refuses, that is too old, or that is none, is lost', async (t) => {
  const { fake, tree, backend, requests } = await start(t)
  const position = await positionOf(backend)
  const [stream, time] = position.split('.')
  const before = requests().length
  for (const text of [
    '',
    'now',
    'x',
    '5',
    '0.0.',
    `${stream}`,
    `${stream}.${time}`,
    `${stream}.${time}.abc`,
    `${stream}.${time}.${'a'.repeat(8 * 481)}`,
    `-1.${time}.`,
    `${stream}.${Number(time) - 24 * 60 * 60 * 1000 - 60_000}.`,
    `${'1'.repeat(21)}.${time}.`
  ]) {
    t.equal(await backend.changes!(ROOT_SCOPE, text, callOptions()), 'lost', text)
  }
  t.equal(requests().length, before, 'without a request')
  t.not(await backend.changes!(ROOT_SCOPE, `${stream}.${Number(time) - 23 * 60 * 60 * 1000}.`, callOptions()), 'lost')
  tree.addFile({ name: 'new' })
  const contextInfo = { errors: [{ reason: 'invalid_parameter', name: 'stream_position', message: 'x' }] }
  fake.failNext(1, { code: 'bad_request', contextInfo }, { path: EVENTS })
  t.equal(await backend.changes!(ROOT_SCOPE, position, callOptions()), 'lost')
  t.equal(await backend.changes!(ROOT_SCOPE, `${'9'.repeat(20)}.${time}.`, callOptions()), 'lost')
  t.equal((await changesOf(backend, position)).changes.length, 1)
})

t.test('a failed call is an error, and not a lost position', async (t) => {
  const { fake, tree, backend } = await start(t)
  const position = await positionOf(backend)
  for (const [fault, code] of [
    [respondsWith(429, { retryAfter: 3 }), 'PROVIDER_THROTTLED'],
    [respondsWith(503), 'PROVIDER_UNAVAILABLE'],
    [respondsWith(400), 'PROVIDER_ERROR'],
    [respondsWith(404), 'PROVIDER_ERROR'],
    [respondsWith(403), 'ACCESS_DENIED'],
    ...[
      '',
      '[]',
      'null',
      '<html>',
      '{"entries":[]}',
      '{"next_stream_position":1}',
      '{"entries":{},"next_stream_position":1}',
      '{"entries":[],"next_stream_position":-1}',
      '{"entries":[],"next_stream_position":1.5}',
      '{"entries":[],"next_stream_position":1e300}',
      '{"entries":[],"next_stream_position":null}',
      '{"entries":[],"next_stream_position":{}}',
      `{"entries":[],"next_stream_position":${'1'.repeat(21)}}`,
      `{"entries":[${'{},'.repeat(500)}{}],"next_stream_position":1}`
    ].map((body) => [respondsWith(200, { body }), 'PROVIDER_ERROR'] as const)
  ] as const) {
    fake.failNext(2, fault, { path: EVENTS })
    await rejectsWith(t, backend.changes!(ROOT_SCOPE, position, callOptions()), code)
    await rejectsWith(t, positionOf(backend), code)
  }
  tree.addFile({ name: 'new' })
  fake.failNext(1, respondsWith(503), { path: EVENTS, after: 1 })
  await rejectsWith(t, backend.changes!(ROOT_SCOPE, position, callOptions()), 'PROVIDER_UNAVAILABLE')
  t.equal((await changesOf(backend, position)).changes.length, 1, 'nothing is missed')
})

t.test('the position is that of the page, whatever else contains its name', async (t) => {
  const { fake, backend } = await start(t)
  const position = '1152922976252290889'
  const streamPosition = async (body: string) => {
    fake.failNext(1, respondsWith(200, { body }), { path: EVENTS })
    return (await positionOf(backend)).split('.')[0]
  }
  const name = String.raw`\"next_stream_position\":5,`
  const source = `{"type":"file","id":"1","name":"${name}","next_stream_position":7}`
  const entries = `[{"event_type":"ITEM_MOVE","event_id":"e","source":${source}}]`
  for (const body of [
    `{"entries":${entries},"next_stream_position":${position}}`,
    `{"next_stream_position" : "${position}" , "entries":${entries}}`,
    `{"entries":["next_stream_position"],\n"next_stream_position":\t${position}\n}`
  ]) {
    t.equal(await streamPosition(body), position, body)
  }
  const ambiguous = `{"entries":[{"next_stream_position":1152922976252290888}],"next_stream_position":${position}}`
  await rejectsWith(t, streamPosition(ambiguous), 'PROVIDER_ERROR')
})

t.test('a position of 0 after an empty page is not taken', async (t) => {
  const { fake, tree, backend, requests } = await start(t)
  tree.addFile({ name: 'old' })
  const position = await positionOf(backend)
  const body = '{"chunk_size":0,"entries":[],"next_stream_position":0}'
  fake.failNext(1, respondsWith(200, { body }), { path: EVENTS })
  const page = await changesOf(backend, position)
  t.same(page.changes, [])
  t.same((await changesOf(backend, page.position)).changes, [])
  t.equal(requests().at(-1)?.query.get('stream_position'), position.split('.')[0])
})

t.test('events that Box no longer stores are missing without an error', async (t) => {
  let now = Date.UTC(2026, 0, 1)
  const { fake, tree, backend } = await start(t, { now: () => new Date(now) })
  const position = await positionOf(backend)
  tree.addFile({ name: 'old' })
  fake.knobs.eventLifetimeMs = 14 * 24 * 60 * 60 * 1000
  now += 15 * 24 * 60 * 60 * 1000
  // This is why an old position is lost.
  t.match(await changesOf(backend, position), { changes: [], hasMore: false })
})

t.test('an aborted call ends with the reason', async (t) => {
  const { fake, backend } = await start(t)
  const position = await positionOf(backend)
  fake.delayMs = () => 200
  const controller = new AbortController()
  const reason = new Error('enough')
  const signal = controller.signal
  const calls = [backend.changes!(ROOT_SCOPE, position, { signal }), backend.position!(ROOT_SCOPE, { signal })]
  controller.abort(reason)
  for (const call of calls) t.equal(await rejectionOf(call), reason)
})
