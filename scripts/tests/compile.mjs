// Compiles sources and tests once for all test processes: one JavaScript file per TypeScript file, with source maps.
// Node then needs no loader, which would cost each process more than most of its tests.
import { context } from 'esbuild'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A folder of this run. Not below `node_modules`, where Node ignores source maps. */
export const COMPILED = process.env.COMPILED_TESTS ?? join(ROOT, '.cache/tests', String(process.pid))

export const FOLDERS = ['src', 'test', 'demo', 'scripts']

/** The compiled form of a file, both relative to the root. */
export const compiledPath = (file) => join(COMPILED, file.replace(/\.ts$/, '.js'))

/**
 * Leaves imports in place and points them at the compiled files. A test file's `tap` is the subtest of that file, see
 * `process.mjs`. What is not TypeScript is imported from where it is.
 */
const inPlace = {
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
    // Files beside a module are looked for beside its source.
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      loader: 'ts',
      resolveDir: dirname(path),
      contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
    }))
  }
}

/** A context of esbuild, whose `rebuild` compiles everything. The compiled files are removed at the end of the process. */
export async function createCompiler() {
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
    plugins: [inPlace]
  })
}
