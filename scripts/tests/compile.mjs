// Compiles sources and tests once for all test processes: one JavaScript file per TypeScript file, with source maps.
// Node then needs no loader hooks, which take longer to start than most test files run.
import { context } from 'esbuild'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A folder of this run. Not below `node_modules`, where Node ignores source maps. */
export const COMPILED = process.env.COMPILED_TESTS ?? join(ROOT, '.cache/tests', String(process.pid))

export const FOLDERS = ['src', 'server', 'web', 'test', 'demo', 'scripts']

/** The compiled form of a file, both relative to the root. */
export const compiledPath = (file) => join(COMPILED, file.replace(/\.ts$/, '.js'))

/**
 * Keeps imports and points them at the compiled files. In a test file, `tap` is the subtest of that file
 * (`current.mjs`). Other files than TypeScript are imported from their original location.
 */
const inPlace = (transform) => ({
  name: 'in place',
  setup(build) {
    build.onResolve({ filter: /.*/ }, ({ path, importer, kind, resolveDir }) => {
      if (kind === 'entry-point') return undefined
      if (path === 'tap' && importer.endsWith('.test.ts')) {
        const current = new URL('current.mjs', import.meta.url)
        current.search = importer.slice(ROOT.length)
        return { path: current.href, external: true }
      }
      if (!path.startsWith('.')) return { external: true }
      if (path.endsWith('.ts')) return { path: path.replace(/\.ts$/, '.js'), external: true }
      return { path: pathToFileURL(resolve(resolveDir, path)).href, external: true }
    })
    // A module resolves files next to it from its source, not from the compiled file.
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      loader: 'ts',
      resolveDir: dirname(path),
      contents: transform(path, readFileSync(path, 'utf8')).replaceAll(
        'import.meta.url',
        JSON.stringify(pathToFileURL(path).href)
      )
    }))
  }
})

/**
 * Returns an esbuild context whose `rebuild` compiles all files. The output is removed when the process exits.
 *
 * @param transform changes the text of a file before it is compiled
 */
export async function createCompiler(transform = (_path, text) => text) {
  process.once('exit', () => rmSync(COMPILED, { recursive: true, force: true }))
  const entryPoints = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true })
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
      .map((path) => join(folder, path))
  )
  return context({
    absWorkingDir: ROOT,
    entryPoints,
    outbase: '.',
    outdir: COMPILED,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    sourcemap: true,
    logLevel: 'warning',
    plugins: [inPlace(transform)]
  })
}
