// Builds the page of the ready-made server. `node scripts/build-page.mjs [folder]`; default: build/web/page. Scripts and
// styles have the hash of their content in their names, so that browsers may cache them forever.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { readArguments } from './arguments.mjs'
import { replaceFile } from './replace-file.mjs'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const SOURCES = join(ROOT, 'web/page')

export async function buildPage(named) {
  const folder = resolve(named)
  const { metafile, outputFiles } = await build({
    entryPoints: [join(SOURCES, 'main.ts'), join(SOURCES, 'page.css')],
    outdir: folder,
    entryNames: '[name]-[hash]',
    bundle: true,
    minify: true,
    charset: 'utf8',
    format: 'esm',
    target: 'es2022',
    legalComments: 'linked',
    logLevel: 'warning',
    metafile: true,
    write: false,
    absWorkingDir: ROOT,
    tsconfig: join(ROOT, 'web/tsconfig.json')
  })
  let html = readFileSync(join(SOURCES, 'index.html'), 'utf8')
  for (const [output, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (entryPoint === undefined) continue
    const plain = `/page/${basename(entryPoint).replace(/\.ts$/, '.js')}`
    if (!html.includes(`"${plain}"`)) throw new Error(`index.html does not refer to ${plain}`)
    html = html.replace(`"${plain}"`, `"/page/${basename(output)}"`)
  }
  for (const { path, contents } of outputFiles) replaceFile(path, contents)
  replaceFile(join(folder, 'icon.svg'), readFileSync(join(SOURCES, 'icon.svg')))
  // Written last, once all files that it names exist. Files of an earlier build are removed afterwards.
  replaceFile(join(folder, 'index.html'), html)
  const built = new Set(['index.html', 'icon.svg', ...outputFiles.map(({ path }) => basename(path))])
  for (const name of readdirSync(folder)) {
    if (!built.has(name) && !name.endsWith('.tmp')) rmSync(join(folder, name), { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const help =
    'Usage: node scripts/build-page.mjs [folder]\n\nBuilds the page of the server. Default folder: build/web/page.'
  const [folder = join(ROOT, 'build/web/page')] = readArguments(help, 1)
  await buildPage(folder)
}
