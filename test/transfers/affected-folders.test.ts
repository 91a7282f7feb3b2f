import t from 'tap'
import { AffectedFolders, FolderAliases, ListingInvalidator } from '../../src/transfers/affected-folders.ts'
import { connectionRow } from '../support/database/memory-connections.ts'
import { entry, page, ScriptedBackend } from '../support/backend/scripted-backend.ts'

const SIGNAL = new AbortController().signal

/** The listings of connections. Records invalidations. */
function make() {
  const invalidated: unknown[] = []
  const cache = {
    invalidateFolder: ({ folderId }: { folderId: string | null }) => invalidated.push(folderId),
    invalidateConnection: (id: string) => invalidated.push({ connection: id })
  }
  const forgotten: string[] = []
  const aliases = new FolderAliases((id) => forgotten.push(id))
  const listings = new ListingInvalidator(cache, aliases)
  /** Lists a folder by an alias. */
  const learn = async (connectionId: string, folderId: string, alias: string) => {
    const backend = new ScriptedBackend()
    backend.list = async () => ({ ...page([]), folder: { id: folderId, name: null, parentId: null } })
    await aliases.withAliasLearning(backend, connectionId).listFolder(alias, { signal: SIGNAL, limit: 1 })
  }
  const drop = (id: string, ...folders: string[]) => {
    const touched = new AffectedFolders()
    for (const folder of folders) touched.addFolder(folder)
    invalidated.length = 0
    listings.invalidate(connectionRow({ id }), touched)
    return [...invalidated]
  }
  return { aliases, learn, drop, forgotten }
}

t.test('a change invalidates each parent folder, and below a very deep path the whole connection', async (t) => {
  const { drop } = make()
  t.same(drop('c', 'a/b/c'), [null, 'a/b/c', 'a/', 'a/b/'])
  const deep = (levels: number) => 'd/'.repeat(levels)
  t.equal(drop('c', deep(64)).length, 65)
  for (const levels of [65, 2_000, 4_096]) t.same(drop('c', deep(levels)), [{ connection: 'c' }], `${levels} levels`)
  t.same(drop('c', 'a', deep(2_000), 'b'), [{ connection: 'c' }])
  t.same(drop('c', '/'.repeat(8_192)), [{ connection: 'c' }])
})

t.test('a deep entry counts like a deep folder', async (t) => {
  const touched = new AffectedFolders()
  touched.addEntry(entry(`${'d/'.repeat(2_000)}x`, { parentId: 'd/'.repeat(2_000) }), { isInKnownFolder: true })
  t.equal(touched.isKnown, false)
  t.equal(touched.folders.size, 0)
})

t.test('a change invalidates a folder under all of its ids', async (t) => {
  const { learn, drop } = make()
  await learn('c', 'folder', 'shortcut')
  await learn('c', 'folder', 'other shortcut')
  await learn('c', 'folder', 'shortcut')
  await learn('d', 'folder', 'of another connection')
  t.same(drop('c', 'folder'), [null, 'folder', 'shortcut', 'other shortcut'])
  t.same(drop('c', 'shortcut'), [null, 'shortcut'])
})

t.test('a connection with too many aliases takes bounded memory, and any change invalidates all of it', async (t) => {
  const { aliases, learn, drop } = make()
  const long = 'x'.repeat(8_000)
  for (let i = 0; i < 100; i += 1) await learn('c', 'folder', `${long}${i}`)
  t.equal(aliases.get('c', 'folder'), null)
  t.equal(aliases.get('c', 'another folder'), null)
  t.same(drop('c', 'another folder'), [{ connection: 'c' }])
  t.same(aliases.get('d', 'folder'), [])
})

t.test('connections whose aliases are evicted are reported for invalidation', async (t) => {
  const { aliases, learn, forgotten } = make()
  await learn('first', 'folder', 'shortcut')
  const long = 'x'.repeat(20_000)
  for (let i = 0; forgotten.length === 0 && i < 1_000; i += 1) await learn(`c${i}`, 'folder', long)
  t.equal(forgotten[0], 'first')
  t.same(aliases.get('first', 'folder'), [])
})
