import t from 'tap'
import type { EntryPage } from '../../src/core/entry.ts'
import type { ListCall, StorageBackend } from '../../src/core/backend.ts'
import { interceptCalls, runCall } from '../../src/layers/layer.ts'
import { type PageGuardLimits, withPageGuard } from '../../src/layers/page-guard.ts'
import { entry, page, ScriptedBackend } from '../support/backend/scripted-backend.ts'

const signal = new AbortController().signal
const others = (prefix: string, count: number) => names(count).map(({ id }) => entry(`${prefix} ${id}`))
const names = (count: number) => Array.from({ length: count }, (_, index) => entry(String(index)))

/** A backend that always returns the same page. */
function always(answer: Partial<EntryPage>, limits?: PageGuardLimits) {
  const bare = new ScriptedBackend()
  bare.list = async () => ({ ...page([]), ...answer })
  const backend = interceptCalls(bare, withPageGuard(runCall, limits))
  return { bare, list: (call: Partial<ListCall> = {}) => backend.listFolder(null, { limit: 10, signal, ...call }) }
}

/** Returns all pages. */
async function walk(backend: StorageBackend, limit = 10): Promise<EntryPage[]> {
  const pages: EntryPage[] = []
  let cursor: string | undefined
  do {
    const next = await backend.listFolder(null, { limit, signal, ...(cursor !== undefined && { cursor }) })
    pages.push(next)
    cursor = next.next ?? undefined
  } while (cursor !== undefined)
  return pages
}

t.test('the backend receives its own cursors and unchanged arguments', async (t) => {
  const { bare, list } = always({ next: 'a.b\n|' })
  const first = await list({ kind: 'folder' })
  t.match(first, { complete: false, reason: 'more' })
  await list({ kind: 'folder', limit: 7, cursor: first.next ?? '' })
  t.notOk('cursor' in (bare.listCalls[0]?.call ?? {}))
  t.match(bare.listCalls[1]?.call, { cursor: 'a.b\n|', kind: 'folder', limit: 7 })
})

t.test('equal chains have equal cursors, which are short', async (t) => {
  const upstream = 'x'.repeat(1_000)
  const [one, other] = [await always({ next: upstream }).list(), await always({ next: upstream }).list()]
  t.equal(one.next, other.next)
  t.ok((one.next?.length ?? 0) <= upstream.length + 32, String(one.next?.slice(0, 40)))
})

t.test('a cursor that the guard did not issue is refused', async (t) => {
  const { bare, list } = always({ next: 'upstream' })
  const made = (await list()).next ?? ''
  const hash = made.slice(6, 18)
  t.equal(made, `1.1.0.${hash}...0.upstream`)
  const forged = [
    '',
    'upstream',
    `0.1.0.${hash}...0.up`,
    `1.1.0.${hash}...0.`,
    `1.1.0.${hash}...2.up`,
    `1.-1.0.${hash}...0.up`,
    `1.1.0.${hash}x...0.up`,
    `1.1.0....0.up`,
    `1.1.0.${hash}.abc..0.up`,
    `1.1.0.${hash}..abc.0.up`,
    `1.1.0.${hash}..${'abcdefg'.repeat(17)}.0.up`
  ]
  for (const cursor of forged) await t.rejects(list({ cursor }), { code: 'INVALID_CURSOR' }, JSON.stringify(cursor))
  t.equal(bare.listCalls.length, 1)
})

t.test('a cursor that refers to itself ends the chain at once', async (t) => {
  const bare = new ScriptedBackend()
  bare.list = async (_folder, { cursor }) => page([], cursor === undefined ? 'a' : cursor === 'a' ? 'b' : 'c')
  const pages = await walk(interceptCalls(bare, withPageGuard(runCall)))
  t.equal(pages.length, 4)
  t.match(pages.at(-1), { next: null, complete: false, reason: 'duplicate-cursor' })
})

t.test('a chain is cut after a maximum of pages, unless that one is the last', async (t) => {
  const bare = new ScriptedBackend()
  bare.list = async (_folder, { cursor = '0' }) => page([], String(Number(cursor) + 1))
  const cut = await walk(interceptCalls(bare, withPageGuard(runCall, { maxPages: 3 })))
  t.equal(cut.length, 3)
  t.match(cut.at(-1), { next: null, complete: false, reason: 'page-cap' })
  bare.list = async (_folder, { cursor = '0' }) => page([], cursor === '2' ? null : String(Number(cursor) + 1))
  t.match((await walk(interceptCalls(bare, withPageGuard(runCall, { maxPages: 3 })))).at(-1), {
    next: null,
    complete: true,
    reason: null
  })
})

t.test('a chain is cut after a maximum of entries', async (t) => {
  const bare = new ScriptedBackend()
  bare.list = async (_folder, { cursor = '0' }) => page(others(cursor, 4), String(Number(cursor) + 1))
  const cut = await walk(interceptCalls(bare, withPageGuard(runCall, { maxEntries: 11 })))
  t.equal(cut.length, 3)
  t.match(cut.at(-1), { next: null, complete: false, reason: 'page-cap' })
})

t.test('the limits are 10,000 pages and 1,000,000 entries', async (t) => {
  const bare = new ScriptedBackend()
  bare.list = async (_folder, { cursor = '0' }) => page([], String(Number(cursor) + 1))
  t.equal((await walk(interceptCalls(bare, withPageGuard(runCall)))).length, 10_000)
  bare.list = async (_folder, { cursor = '0' }) => page(others(cursor, 1_000), String(Number(cursor) + 1))
  t.equal((await walk(interceptCalls(bare, withPageGuard(runCall)), 1_000)).length, 1_000)
})

t.test('a repeated id is listed once, with its first entry', async (t) => {
  const entries = [entry('a', { size: 1 }), entry('b'), entry('a', { size: 2 }), entry('c'), entry('a')]
  const shown = await always({ entries }).list({ limit: 3 })
  t.same(
    shown.entries.map(({ id, size }) => [id, size]),
    [
      ['a', 1],
      ['b', 1],
      ['c', 1]
    ]
  )
  t.match(shown, { next: null, complete: false, reason: 'provider-partial' })
})

/** Pages with these IDs, each with a cursor of its own. */
function pagesOf(...pages: readonly (readonly string[])[]) {
  const bare = new ScriptedBackend()
  bare.list = async (_folder, { cursor = '0' }) => {
    const at = Number(cursor)
    const ids = pages[at] ?? []
    return page(
      ids.map((id) => entry(id)),
      at + 1 < pages.length ? String(at + 1) : null
    )
  }
  return interceptCalls(bare, withPageGuard(runCall))
}

const shownOf = (pages: readonly EntryPage[]) => pages.map(({ entries }) => entries.map(({ id }) => id).join(''))

t.test('an entry that the next page repeats is listed once, and the last page is incomplete', async (t) => {
  const pages = await walk(pagesOf(['a', 'b', 'c'], ['c', 'd'], ['e']))
  t.same(shownOf(pages), ['abc', 'd', 'e'])
  t.same(
    pages.map(({ reason }) => reason),
    ['more', 'more', 'provider-partial']
  )
  t.equal(pages.at(-1)?.complete, false)
  const across = await walk(pagesOf(['a', 'b'], [], ['b', 'c']))
  t.same(shownOf(across), ['ab', '', 'c'], 'with an empty page between them')
  t.match(across.at(-1), { complete: false, reason: 'provider-partial' })
  const large = names(40).map(({ id }) => id)
  const shifted = await walk(pagesOf(large, [...large.slice(-16), 'new'], ['last']), 100)
  t.same(shownOf(shifted).slice(1), ['new', 'last'], 'sixteen repeated entries')
  t.match((await walk(pagesOf(['a', 'b'], ['c', 'd'], ['e']))).at(-1), { complete: true, reason: null })
})

t.test('a duplicate within a page is remembered for the following pages', async (t) => {
  const pages = await walk(pagesOf(['a', 'a'], ['b'], ['c'], ['d']))
  t.same(shownOf(pages), ['a', 'b', 'c', 'd'])
  t.match(pages.at(-1), { complete: false, reason: 'provider-partial' })
})

t.test('a page that is repeated under another cursor ends the chain', async (t) => {
  const once = await walk(pagesOf(['a', 'b'], ['a', 'b'], ['c']))
  t.same(shownOf(once), ['ab', ''])
  t.match(once.at(-1), { next: null, complete: false, reason: 'duplicate-cursor' })
  const later = await walk(pagesOf(['a', 'b'], ['c', 'd'], ['e', 'f'], ['e', 'f'], ['g', 'h']))
  t.same(shownOf(later), ['ab', 'cd', 'ef', ''])
  t.match(later.at(-1), { next: null, complete: false, reason: 'duplicate-cursor' })
  for (const period of [2, 3, 5]) {
    const bare = new ScriptedBackend()
    bare.list = async (_folder, { cursor = '0' }) =>
      page(others(String(Number(cursor) % period), 30), String(Number(cursor) + 1))
    const pages = await walk(interceptCalls(bare, withPageGuard(runCall)), 30)
    t.ok(pages.length <= 3 * period + 1, `a cycle of ${period} pages ends after ${pages.length}`)
    t.match(pages.at(-1), { next: null, complete: false, reason: 'duplicate-cursor' })
  }
  const news = await walk(pagesOf(['a', 'b'], ['b'], ['c']))
  t.same(shownOf(news), ['ab', '', 'c'], 'a single repeated entry may be a change')
  t.match(news.at(-1), { complete: false, reason: 'provider-partial' })
  const last = await walk(pagesOf(['a', 'b'], ['b']))
  t.match(last.at(-1), { complete: false, reason: 'provider-partial' }, 'the last page ends the chain anyway')
})

t.test('a page that is too large is cut and is the last one', async (t) => {
  for (const next of ['more', null]) {
    const shown = await always({ entries: names(11), next, complete: next === null }).list()
    t.equal(shown.entries.length, 10)
    t.match(shown, { next: null, complete: false, reason: 'provider-partial' })
  }
  t.match(await always({ entries: names(10) }).list(), { complete: true })
})

t.test('the end of a page never contradicts its reason', async (t) => {
  const none = { next: null, complete: false } as const
  for (const [said, shown] of [
    [
      { next: 'n', complete: true, reason: null },
      { next: /n$/, complete: false, reason: 'more' }
    ],
    [
      { next: 'n', complete: false, reason: 'provider-partial' },
      { next: /n$/, reason: 'provider-partial' }
    ],
    [
      { ...none, reason: null },
      { ...none, reason: 'provider-partial' }
    ],
    [
      { ...none, reason: 'more' },
      { ...none, reason: 'provider-partial' }
    ],
    [
      { ...none, reason: 'page-cap' },
      { ...none, reason: 'page-cap' }
    ],
    [
      { next: null, complete: true, reason: 'duplicate-cursor' },
      { ...none, reason: 'duplicate-cursor' }
    ],
    [
      { next: null, complete: true, reason: 'more' },
      { ...none, reason: 'provider-partial' }
    ],
    [
      { next: '', complete: true, reason: null },
      { ...none, reason: 'provider-partial' }
    ],
    [
      { next: '', complete: false, reason: 'more' },
      { ...none, reason: 'provider-partial' }
    ],
    [
      { next: null, complete: true, reason: null },
      { next: null, complete: true, reason: null }
    ]
  ] as const) {
    t.match(await always(said).list(), shown, JSON.stringify(said))
  }
})

t.test('other methods of a class instance are passed on, and missing ones stay absent', async (t) => {
  const bare = new ScriptedBackend()
  const backend = interceptCalls(bare, withPageGuard(runCall))
  t.equal((await backend.stat('a', { signal })).id, 'a')
  t.equal(backend.provider, 'scripted')
  t.equal(backend.capabilities, bare.capabilities)
  for (const absent of ['upload', 'remove', 'createFolder', 'downloadUrl']) t.notOk(absent in backend)
})
