import t from 'tap'
import type { Entry } from '../../src/domain/entry.ts'
import type { ListCall } from '../../src/domain/storage-backend.ts'
import { CutPages, type WholeFolder } from '../../src/providers/shared/cut-pages.ts'
import { call, rejectsWith } from '../contract/suite/arrange.ts'

const FOLDER = { id: null, name: null, parentId: null }

function folderOf(
  count: number,
  { prefix = '', reason = null }: { prefix?: string; reason?: WholeFolder['reason'] } = {}
): WholeFolder {
  const entries = Array.from({ length: count }, (_, index) => {
    return { id: `${prefix}${index}`, kind: index % 2 === 0 ? 'file' : 'folder' } as Entry
  })
  return { folder: FOLDER, entries, reason }
}

const never = () => Promise.reject(new Error('it was listed again'))
const page = (limit: number, more: Partial<ListCall> = {}): ListCall => ({ ...call(), limit, ...more })

async function allOf(pages: CutPages, whole: WholeFolder, limit: number, kind?: 'file' | 'folder') {
  const more = kind === undefined ? {} : { kind }
  let each = await pages.page('place', page(limit, more), async () => whole)
  const sizes = [each.entries.length]
  const ids = each.entries.map(({ id }) => id)
  while (each.next !== null) {
    each = await pages.page('place', page(limit, { ...more, cursor: each.next }), never)
    sizes.push(each.entries.length)
    ids.push(...each.entries.map(({ id }) => id))
  }
  return { sizes, ids, last: each }
}

t.test('pages together are the folder, whatever their size', async (t) => {
  const whole = folderOf(10)
  for (const [limit, sizes] of [
    [1, Array.from({ length: 10 }, () => 1)],
    [9, [9, 1]],
    [10, [10]],
    [11, [10]]
  ] as const) {
    const read = await allOf(new CutPages(), whole, limit)
    t.same(read.sizes, sizes)
    t.same(
      read.ids,
      whole.entries.map(({ id }) => id)
    )
    t.match(read.last, { complete: true, reason: null })
  }
  t.same((await allOf(new CutPages(), whole, 2, 'folder')).ids, ['1', '3', '5', '7', '9'])
  t.match((await allOf(new CutPages(), folderOf(0), 2)).last, { entries: [], complete: true })
})

t.test('what is missing is said on the last page alone', async (t) => {
  const pages = new CutPages()
  const first = await pages.page('p', page(2), async () => folderOf(3, { reason: 'page-cap' }))
  t.match(first, { complete: false, reason: 'more' })
  t.match(await pages.page('p', page(2, { cursor: first.next ?? '' }), never), {
    complete: false,
    reason: 'page-cap',
    next: null
  })
})

t.test('a cursor is good for the answer that it came from', async (t) => {
  const pages = new CutPages()
  const { next } = await pages.page('p', page(2), async () => folderOf(5))
  const cursor = next ?? ''
  await rejectsWith(t, pages.page('other', page(2, { cursor }), never), 'CURSOR_EXPIRED', 'another folder')
  await rejectsWith(t, new CutPages().page('p', page(2, { cursor }), never), 'CURSOR_EXPIRED', 'another process')
  await pages.page('p', page(3), async () => folderOf(5))
  t.equal((await pages.page('p', page(2, { cursor }), never)).entries.length, 2, 'listed anew, and the same')
  await rejectsWith(
    t,
    pages.page('p', page(2), never).catch(() => pages.page('p', page(2, { cursor: 'x' }), never)),
    'INVALID_CURSOR'
  )
  t.ok(await pages.page('p', page(2, { cursor }), never), 'a listing that failed changes nothing')
  await pages.page('p', page(3), async () => folderOf(5, { prefix: 'new ' }))
  await rejectsWith(t, pages.page('p', page(2, { cursor }), never), 'CURSOR_EXPIRED', 'listed anew, and changed')
  await pages.page('p', page(9), async () => folderOf(5))
  await rejectsWith(t, pages.page('p', page(2, { cursor }), never), 'CURSOR_EXPIRED', 'now on one page')
  for (const garbage of ['', '.', 'a.b', `${'a'.repeat(22)}.-1`, `${'a'.repeat(22)}.1e3`, 'x'.repeat(5000)]) {
    await rejectsWith(t, pages.page('p', page(2, { cursor: garbage }), never), 'INVALID_CURSOR', garbage.slice(0, 30))
  }
})

t.test('what is kept is bounded by its weight, and a folder of long names is cut off and says so', async (t) => {
  const pages = new CutPages()
  const long = folderOf(20_000, { prefix: 'x'.repeat(4000) })
  const { ids, last } = await allOf(pages, long, 1000)
  t.ok(ids.length > 10_000 && ids.length < 20_000, `${ids.length} were held`)
  t.match(last, { complete: false, reason: 'page-cap' })
  const { next } = await pages.page('second', page(1), async () => long)
  t.ok(await pages.page('second', page(1, { cursor: next ?? '' }), never))
  const gone = (await pages.page('third', page(1), async () => folderOf(3))).next ?? ''
  t.ok(await pages.page('third', page(1, { cursor: gone }), never), 'small ones fit beside it')
})
