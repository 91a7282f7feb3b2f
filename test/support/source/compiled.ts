import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * Returns the URL of the compiled form of a source file, to import it or to run it in another process. Tests run
 * compiled (`scripts/tests/run.mjs`), while `import.meta.url` is the URL of the source.
 * @param path relative to the root of the repository, such as `server/main.ts`
 */
export function compiledUrl(path: string): URL {
  const folder = process.env['COMPILED_TESTS']
  if (folder === undefined) throw new Error('Run the tests with npm test.')
  return pathToFileURL(join(folder, path.replace(/\.ts$/, '.js')))
}
