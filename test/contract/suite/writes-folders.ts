import type { Test } from 'tap'
import {
  callOptions,
  contentOf,
  find,
  listAll,
  rejectsWith,
  requireMethod,
  rootOf,
  skipReason,
  type Open
} from './arrange.ts'

export function writesFolders(t: Test, open: Open): void {
  t.test('a new folder is empty and listed, and creating it again is ALREADY_EXISTS', async (t) => {
    const { backend } = await open(t)
    if (skipReason(backend.capabilities, 'createFolder') !== false) return t.pass('createFolder is unsupported')
    const create = requireMethod(backend.createFolder?.bind(backend))
    const outer = await create(null, 'outer \u{1f4c1}', callOptions())
    t.match(outer, { name: 'outer \u{1f4c1}', kind: 'folder', parentId: await rootOf(backend) })
    t.match(await backend.listFolder(outer.id, { ...callOptions(), limit: 10 }), {
      entries: [],
      complete: true,
      next: null
    })
    const inner = await create(outer.id, 'inner', callOptions())
    t.equal(inner.parentId, outer.id)
    t.same(
      (await listAll(backend, outer.id)).map(({ id }) => id),
      [inner.id]
    )
    t.equal((await backend.stat(inner.id, callOptions())).kind, 'folder')
    await rejectsWith(t, create(null, 'outer \u{1f4c1}', callOptions()), 'ALREADY_EXISTS')
    await rejectsWith(t, create(outer.id, 'inner', callOptions()), 'ALREADY_EXISTS')
  })

  t.test('creating a folder that exists because of its content is ALREADY_EXISTS', async (t) => {
    const { backend, seed } = await open(t)
    if (skipReason(backend.capabilities, 'createFolder') !== false) return t.pass('createFolder is unsupported')
    await seed({ 'folder/a.txt': 'a', 'empty/': '' })
    const create = requireMethod(backend.createFolder?.bind(backend))
    for (const name of ['folder', 'empty'])
      await rejectsWith(t, create(null, name, callOptions()), 'ALREADY_EXISTS', name)
    t.equal((await contentOf(backend, (await find(backend, 'folder/a.txt')).id)).toString(), 'a')
  })
}
