import t from 'tap'
import { compiledUrl } from './support/compiled.ts'
import { sourcePaths } from './support/source-tree.ts'

/** These act when they are imported: they listen, notify other windows of a landing, or render a page. */
const NOT_TO_IMPORT = new Set([
  'server.ts',
  'server/migrate.ts',
  'server/rotate-keys.ts',
  'picker/landing/landing.ts',
  'page/main.ts'
])

t.test('every file of src can be imported by itself, so that coverage includes each of them', async (t) => {
  const paths = sourcePaths().filter((path) => !NOT_TO_IMPORT.has(path))
  t.ok(paths.includes('domain/errors.ts'))
  for (const path of paths) {
    await t.resolves(import(compiledUrl(`src/${path}`).href), path)
  }
})
