import t from 'tap'
import { compiledUrl } from './support/source/compiled.ts'
import { sourcePaths } from './support/source/source-tree.ts'

/** These act when they are imported: they listen, notify other windows of a landing, or render a page. */
const NOT_TO_IMPORT = new Set([
  'server/main.ts',
  'server/migrate.ts',
  'server/rotate-keys.ts',
  'web/picker/landing/landing.ts',
  'web/page/main.ts'
])

t.test('every source file can be imported by itself, so that coverage includes each of them', async (t) => {
  const paths = sourcePaths().filter((path) => !NOT_TO_IMPORT.has(path))
  t.ok(paths.includes('src/errors.ts'))
  for (const path of paths) {
    await t.resolves(import(compiledUrl(path).href), path)
  }
})
