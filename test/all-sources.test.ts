import t from 'tap'
import { SRC, sourcePaths } from './support/source-tree.ts'

/** `server.ts` listens as soon as it is imported, and a landing page tells other windows where it has landed. */
const NOT_TO_IMPORT = new Set(['server.ts', 'picker/landing/landing.ts'])

t.test('every file of src can be imported by itself, so that coverage counts each of them', async (t) => {
  const paths = sourcePaths().filter((path) => !NOT_TO_IMPORT.has(path))
  t.ok(paths.includes('domain/errors.ts'))
  for (const path of paths) {
    await t.resolves(import(new URL(path, SRC).href), path)
  }
})
