// Builds the page of the ready-made server. `node scripts/build-page.mjs [folder]`; left out: dist/page.
// Scripts and styles are named by what is in them, so that browsers may keep them for good.
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { readArguments } from './arguments.mjs'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const SOURCES = join(ROOT, 'src/page')

export async function buildPage(folder) {
  rmSync(folder, { recursive: true, force: true })
  const { metafile } = await build({
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
    absWorkingDir: ROOT,
    tsconfig: join(SOURCES, 'tsconfig.json')
  })
  let html = readFileSync(join(SOURCES, 'index.html'), 'utf8')
  for (const [output, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (entryPoint === undefined) continue
    const plain = `/page/${basename(entryPoint).replace(/\.ts$/, '.js')}`
    if (!html.includes(`"${plain}"`)) throw new Error(`index.html does not name ${plain}`)
    html = html.replace(`"${plain}"`, `"/page/${basename(output)}"`)
  }
  writeFileSync(join(folder, 'index.html'), html)
  copyFileSync(join(SOURCES, 'icon.svg'), join(folder, 'icon.svg'))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const help =
    'Usage: node scripts/build-page.mjs [folder]\n\nBuilds the page of the server; without a folder into dist/page.'
  const [folder = join(ROOT, 'dist/page')] = readArguments(help, 1)
  await buildPage(folder)
}
