import type { Test } from 'tap'
import { call, contentOf, find, listAll, rejectsWith, required, rootOf, unless, type Open } from './arrange.ts'

export function writesFolders(t: Test, open: Open): void {
  t.test('a new folder is empty and listed, and creating it again is ALREADY_EXISTS', async (t) => {
    const { backend } = await open(t)
    if (unless(backend.capabilities, 'createFolder') !== false) return t.pass('createFolder is unsupported')
    const create = required(backend.createFolder?.bind(backend))
    const outer = await create(null, 'outer \u{1f4c1}', call())
    t.match(outer, { name: 'outer \u{1f4c1}', kind: 'folder', parentId: await rootOf(backend) })
    t.match(await backend.listFolder(outer.id, { ...call(), limit: 10 }), { entries: [], complete: true, next: null })
    const inner = await create(outer.id, 'inner', call())
    t.equal(inner.parentId, outer.id)
    t.same(
      (await listAll(backend, outer.id)).map(({ id }) => id),
      [inner.id]
    )
    t.equal((await backend.stat(inner.id, call())).kind, 'folder')
    await rejectsWith(t, create(null, 'outer \u{1f4c1}', call()), 'ALREADY_EXISTS')
    await rejectsWith(t, create(outer.id, 'inner', call()), 'ALREADY_EXISTS')
  })

  t.test('creating a folder that exists because of its content is ALREADY_EXISTS', async (t) => {
    const { backend, seed } = await open(t)
    if (unless(backend.capabilities, 'createFolder') !== false) return t.pass('createFolder is unsupported')
    await seed({ 'folder/a.txt': 'a', 'empty/': '' })
    const create = required(backend.createFolder?.bind(backend))
    for (const name of ['folder', 'empty']) await rejectsWith(t, create(null, name, call()), 'ALREADY_EXISTS', name)
    t.equal((await contentOf(backend, (await find(backend, 'folder/a.txt')).id)).toString(), 'a')
  })
}
