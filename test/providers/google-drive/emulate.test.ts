import t, { type Test } from 'tap'
import type { Entry } from '../../../src/core/entry.ts'
import type { ListCall, StorageBackend } from '../../../src/core/backend.ts'
import { openEmulatedDrive } from '../../fakes/google/emulate-drive.ts'
import { EmulatedGoogle } from '../../fakes/google/emulate.ts'

const { signal } = new AbortController()
const FILES = [
  { id: 'invoices', name: 'Invoices' },
  { id: 'empty', name: 'Empty' },
  { id: 'notes', name: 'notes.txt', content: 'Do not forget.' },
  ...['a', 'b', 'c', 'd', 'e'].map((name) => ({
    id: `i-${name}`,
    name: `${name}.txt`,
    parent: 'invoices',
    content: name
  }))
]

/** Shared by all tests, which only read, because starting it takes a second. */
const google = EmulatedGoogle.start(t, { files: FILES })
const open = async (t: Test) => openEmulatedDrive(t, await google)

const namesOf = (entries: readonly Entry[]) => entries.map(({ name }) => name)

async function allPages(backend: StorageBackend, folder: string | null, options: Partial<ListCall>) {
  const pages: string[][] = []
  let cursor: string | null = null
  do {
    const asked: ListCall = { limit: 200, signal, ...options, ...(cursor !== null && { cursor }) }
    const page = await backend.listFolder(folder, asked)
    t.equal(page.complete, page.next === null)
    pages.push(namesOf(page.entries))
    cursor = page.next
  } while (cursor !== null)
  return pages
}

t.test('the root of an independent Drive emulator is listed with its metadata', async (t) => {
  const { backend } = await open(t)
  const page = await backend.listFolder(null, { limit: 200, signal })
  t.match(page, { folder: { id: 'root', parentId: null }, next: null, complete: true, reason: null })
  t.same(namesOf(page.entries), ['Empty', 'Invoices', 'notes.txt'])
  t.match(page.entries, [
    { id: 'empty', parentId: 'root', kind: 'folder', mimeType: null, size: null },
    { id: 'invoices', parentId: 'root', kind: 'folder', webUrl: 'https://drive.google.com/drive/folders/invoices' },
    {
      id: 'notes',
      parentId: 'root',
      kind: 'file',
      mimeType: 'text/plain',
      size: 14,
      createdAt: /^20\d\d-\d\d-\d\dT/,
      webUrl: 'https://drive.google.com/file/d/notes/view'
    }
  ])
})

t.test('a subfolder is listed, and an empty folder differs from a missing one', async (t) => {
  const { backend } = await open(t)
  t.same(await allPages(backend, 'invoices', {}), [['a.txt', 'b.txt', 'c.txt', 'd.txt', 'e.txt']])
  t.match(await backend.listFolder('empty', { limit: 200, signal }), { entries: [], complete: true })
  const missing = backend.listFolder('not-there', { limit: 200, signal })
  await t.rejects(missing, { code: 'FOLDER_NOT_FOUND', message: 'The folder was not found.' })
})

t.test('pages of two entries lead to the end, in the root too', async (t) => {
  const { backend, requests } = await open(t)
  t.same(await allPages(backend, 'invoices', { limit: 2 }), [['a.txt', 'b.txt'], ['c.txt', 'd.txt'], ['e.txt']])
  const tokens = requests.map(({ url }) => url.searchParams.get('pageToken'))
  t.same(tokens, [null, '2', '4'], 'one request per page, with the token of the previous page')
  t.same(await allPages(backend, null, { limit: 2 }), [['Empty', 'Invoices'], ['notes.txt']])
})

t.test('only folders or only files are listed if requested', async (t) => {
  const { backend } = await open(t)
  t.same(await allPages(backend, null, { kind: 'folder' }), [['Empty', 'Invoices']])
  t.same(await allPages(backend, null, { kind: 'file' }), [['notes.txt']])
})

t.test('stat returns the same entry as the listing of its folder', async (t) => {
  const { backend } = await open(t)
  for (const folder of [null, 'invoices']) {
    const { entries } = await backend.listFolder(folder, { limit: 200, signal })
    t.ok(entries.length > 0)
    for (const entry of entries) t.same(await backend.stat(entry.id, { signal }), entry)
  }
  await t.rejects(backend.stat('not-there', { signal }), { code: 'OBJECT_NOT_FOUND' })
})

t.test('stat works before any listing, even if the root itself cannot be read', async (t) => {
  const { backend, requests } = await open(t)
  t.match(await backend.stat('notes', { signal }), { id: 'notes', parentId: 'root', kind: 'file', size: 14 })
  t.same(
    requests.map(({ method, url }) => `${method} ${url.pathname}`),
    ['GET /drive/v3/files/notes', 'GET /drive/v3/files/root']
  )
})
