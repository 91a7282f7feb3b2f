import type { Test } from 'tap'
import type { Entry } from '../../../src/core/entry.ts'
import { readBody } from '../../support/app/read-body.ts'
import { callOptions, find, listAll, rejectsWith, escapeName, skipReason, type Open } from './arrange.ts'

/** Names that some servers or clients change, truncate or misread. */
const SPECIAL_NAMES = [
  ' leading and trailing ',
  `"double" and 'single'`,
  '#hash',
  '%41 and %2F and 100%',
  '&amp; <b>',
  '+plus+',
  '..dots..',
  '...',
  ';semi=colon',
  '?query=1',
  '~tilde',
  'caf\u00e9 composed',
  'cafe\u0301 decomposed',
  'left\u202eright\u200f',
  'line\u2028separator',
  'trailing dot.',
  '\u{1f4be} emoji \u{1f469}\u200d\u{1f680}',
  '\uff21 full width'
]

const ENTRY_FIELDS = [
  'can',
  'createdAt',
  'driveId',
  'exportFormats',
  'hash',
  'id',
  'kind',
  'mimeType',
  'modifiedAt',
  'name',
  'parentId',
  'path',
  'size',
  'target',
  'thumbnailUrl',
  'version',
  'webUrl'
]

export function lists(t: Test, open: Open): void {
  t.test('an empty root is a complete page without entries', async (t) => {
    const { backend } = await open(t)
    const page = await backend.listFolder(null, { ...callOptions(), limit: 10 })
    t.match(page, { entries: [], next: null, complete: true, reason: null })
    t.equal(page.entries.length, 0)
  })

  t.test('the root lists its files and folders', async (t) => {
    const { backend, seed } = await open(t)
    await seed({ 'a.txt': 'hello', 'folder/b.txt': 'b', 'folder/deep/c.txt': 'c' })
    const page = await backend.listFolder(null, { ...callOptions(), limit: 1000 })
    t.match(page, { next: null, complete: true, reason: null })
    t.same(page.entries.map(({ name, kind }) => ({ name, kind })).sort(byName), [
      { name: 'a.txt', kind: 'file' },
      { name: 'folder', kind: 'folder' }
    ])
    const file = page.entries.find(({ kind }) => kind === 'file')
    t.equal(file?.size, 5)
    for (const entry of page.entries) {
      t.same(Object.keys(entry).sort(), ENTRY_FIELDS, 'all fields are present')
      t.equal(entry.parentId, page.folder.id, 'the root has one id')
    }
    const { id } = page.folder
    if (id !== null) t.same(await backend.listFolder(id, { ...callOptions(), limit: 1000 }), page, 'and the same page')
  })

  t.test('a folder is listed by its id, and has its parent', async (t) => {
    const { backend, seed } = await open(t)
    await seed({ 'folder/b.txt': 'b', 'folder/deep/c.txt': 'c', 'other/d.txt': 'd' })
    const folder = await find(backend, 'folder')
    const page = await backend.listFolder(folder.id, { ...callOptions(), limit: 1000 })
    t.equal(page.folder.id, folder.id)
    t.same(page.entries.map(({ name }) => name).sort(), ['b.txt', 'deep'])
    for (const entry of page.entries) t.equal(entry.parentId, folder.id)
    const deep = await find(backend, 'folder/deep')
    t.same(
      (await listAll(backend, deep.id)).map(({ name }) => name),
      ['c.txt']
    )
  })

  t.test('an empty folder is an empty page, not an error', async (t) => {
    const { backend, seed } = await open(t)
    await seed({ 'empty/': '' })
    const page = await backend.listFolder((await find(backend, 'empty')).id, { ...callOptions(), limit: 10 })
    t.match(page, { next: null, complete: true, reason: null })
    t.equal(page.entries.length, 0)
  })

  t.test('a file is not a folder', async (t) => {
    const { backend, seed } = await open(t)
    await seed({ 'a.txt': 'a' })
    const { id } = await find(backend, 'a.txt')
    await rejectsWith(t, backend.listFolder(id, { ...callOptions(), limit: 10 }), 'FOLDER_NOT_FOUND')
  })

  t.test('small pages add up to the one large page, with each entry once', async (t) => {
    const { backend, seed } = await open(t)
    if (skipReason(backend.capabilities, 'paging') !== false) return t.pass('paging is unsupported')
    const files: Record<string, string> = {}
    for (let index = 0; index < 23; index++) {
      const name = `many/entry ${String(index).padStart(2, '0')}`
      files[index % 3 === 0 ? `${name}/inside` : name] = String(index)
    }
    await seed(files)
    const { id } = await find(backend, 'many')
    const fullPage = await backend.listFolder(id, { ...callOptions(), limit: 1000 })
    t.equal(fullPage.entries.length, 23)
    t.match(fullPage, { next: null, complete: true })
    for (const limit of [1, 5, 22, 23]) {
      const entries: Entry[] = []
      let cursor: string | undefined
      do {
        const page = await backend.listFolder(id, { ...callOptions(), limit, ...(cursor !== undefined && { cursor }) })
        t.ok(page.entries.length <= limit, `a page of ${page.entries.length} with limit ${limit}`)
        t.equal(page.complete, page.next === null, 'complete on the last page only')
        t.equal(page.reason, page.next === null ? null : 'more')
        entries.push(...page.entries)
        cursor = page.next ?? undefined
      } while (cursor !== undefined)
      t.same(entries, fullPage.entries, `pages of ${limit}`)
    }
  })

  t.test('only folders or only files are listed if requested', async (t) => {
    const { backend, seed } = await open(t)
    if (skipReason(backend.capabilities, 'kindFilter') !== false) return t.pass('kindFilter is unsupported')
    await seed({ 'a.txt': 'a', 'b/x': 'x', 'c.txt': 'c', 'd/x': 'x', 'e/x': 'x' })
    for (const limit of [1, 2, 1000]) {
      const names = async (kind: 'file' | 'folder') =>
        (await listAll(backend, null, { kind, limit })).map((entry) => entry.name).sort()
      t.same(await names('file'), ['a.txt', 'c.txt'], `files, ${limit} at a time`)
      t.same(await names('folder'), ['b', 'd', 'e'], `folders, ${limit} at a time`)
    }
  })

  t.test('a limit outside of 1 to 1000 is refused', async (t) => {
    const { backend } = await open(t)
    for (const limit of [0, -1, 1.5, 1001, NaN]) {
      await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit }), 'INVALID_REQUEST', String(limit))
    }
  })

  t.test('names are listed unchanged, and their ids can be used', async (t) => {
    const { backend, seed, normalizesNames: normalizes = false, exceptions = {} } = await open(t)
    const names = SPECIAL_NAMES.filter((name) => !normalizes || name === name.normalize('NFC'))
    await seed(Object.fromEntries(names.map((name) => [`special/${name}`, `content of ${name}`])))
    await seed(Object.fromEntries(names.map((name) => [`folders/${name}/inside.txt`, name])))
    const files = await listAll(backend, (await find(backend, 'special')).id)
    const listed = names.filter((name) => exceptions.hidesDotFiles === undefined || !name.startsWith('.'))
    t.same(files.map(({ name }) => name).sort(), listed.toSorted(), exceptions.hidesDotFiles ?? 'all names')
    for (const { id, name, can } of files) {
      t.not(can.download, false, escapeName(name))
      t.equal((await backend.stat(id, callOptions())).name, name)
      const { body } = await backend.download(id, callOptions())
      t.equal((await readBody(body)).toString(), `content of ${name}`)
    }
    const folders = await listAll(backend, (await find(backend, 'folders')).id)
    t.same(folders.map(({ name }) => name).sort(), listed.toSorted(), exceptions.hidesDotFiles ?? 'all names')
    for (const { id, name, can } of folders) {
      t.not(can.list, false, escapeName(name))
      t.same(
        (await listAll(backend, id)).map((entry) => entry.name),
        ['inside.txt'],
        escapeName(name)
      )
    }
  })

  t.test('stat returns the same entry as the listing', async (t) => {
    const { backend, seed } = await open(t)
    await seed({ 'folder/file.bin': 'content', 'folder/inner/x': 'x', 'folder/empty/': '' })
    const folder = await find(backend, 'folder')
    for (const entry of [folder, ...(await listAll(backend, folder.id))]) {
      const stat = await backend.stat(entry.id, callOptions())
      for (const [field, value] of Object.entries(entry)) {
        // A listing may have fewer fields.
        if (value !== null) t.same(stat[field as keyof Entry], value, `${entry.name}: ${field}`)
      }
    }
  })
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1
}
