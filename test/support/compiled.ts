import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * The compiled form of a source file, to be imported or run by another process: tests run compiled
 * (`scripts/tests/run.mjs`), while `import.meta.url` is the address of the source.
 *
 * @param path relative to the root of the repository, such as `src/server.ts`
 */
export function compiledUrl(path: string): URL {
  const folder = process.env['COMPILED_TESTS']
  if (folder === undefined) throw new Error('Run the tests with npm test.')
  return pathToFileURL(join(folder, path.replace(/\.ts$/, '.js')))
}
