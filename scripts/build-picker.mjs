// Builds <cloud-folder-picker> into one file that a page loads directly, and the landing page of its logins.
// `node scripts/build-picker.mjs [folder]`; default: dist/picker, with the declarations too.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, transform } from 'esbuild'
import { minify } from 'terser'
import { readArguments } from './arguments.mjs'
import { replaceFile } from './replace-file.mjs'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
/** The largest gzipped size in bytes: 33 KiB, of which the client of the API is a tenth. */
export const MAX_GZIPPED = 33 * 1024

/** Minifies the styles, which esbuild leaves unchanged in templates. */
const smallStyles = {
  name: 'small-styles',
  setup({ onLoad }) {
    onLoad({ filter: /picker[\\/]styles[\\/]\w+\.ts$/ }, async ({ path }) => {
      const [before, css, after] = readFileSync(path, 'utf8').split('`')
      const { code } = await transform(css, { loader: 'css', minify: true, charset: 'utf8' })
      const literal = code.trim().replace(/[\\`$]/g, '\\$&')
      return { contents: `${before}\`${literal}\`${after}`, loader: 'ts' }
    })
  }
}

const options = {
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'linked',
  logLevel: 'warning',
  charset: 'utf8',
  // The client checks `process` to find out whether it runs in Node.
  define: { process: 'undefined' },
  plugins: [smallStyles],
  tsconfig: join(ROOT, 'web/tsconfig.json')
}

/** Minifies what esbuild leaves: it folds no variables and inlines little, which is 2 % of the gzipped size. */
async function smaller(code) {
  const { code: result } = await minify(code, { module: true, ecma: 2022, compress: { passes: 3 } })
  return result
}

/** Removes the line breaks of templates, which would become nodes of every row. Minified code has no others. */
function withoutLineBreaks(code) {
  const [link = ''] = /\n\/\*!.*\*\/\s*$/.exec(code) ?? []
  const body = code.slice(0, code.length - link.length)
  return `${body.replace(/>\s*\n\s*</g, '><').replace(/\s*\n\s*/g, ' ')}${link}`
}

/** Returns esbuild's output by path. */
async function bundle(own) {
  const { outputFiles } = await build({ ...options, ...own, absWorkingDir: ROOT, write: false })
  return new Map(outputFiles.map(({ path, text }) => [path, text]))
}

/** @returns the size of the element, gzipped, in bytes */
export async function buildPicker(folder) {
  const file = resolve(folder, 'cloud-folder-picker.js')
  const outputs = await bundle({ entryPoints: [join(ROOT, 'web/picker/index.ts')], outfile: file })
  const landing = resolve(folder, 'landing.js')
  const landingOutputs = await bundle({
    legalComments: 'none',
    entryPoints: [join(ROOT, 'web/picker/landing/landing.ts')],
    outfile: landing
  })
  replaceFile(landing, landingOutputs.get(landing))
  replaceFile(join(folder, 'landing.html'), readFileSync(join(ROOT, 'web/picker/landing/landing.html')))
  replaceFile(file, withoutLineBreaks(await smaller(outputs.get(file))))
  const legal = `${file}.LEGAL.txt`
  const licence = readFileSync(join(dirname(fileURLToPath(import.meta.resolve('lit'))), 'LICENSE'), 'utf8')
  replaceFile(legal, `${outputs.get(legal)}\n${licence}`)
  return gzipSync(readFileSync(file), { level: 9 }).byteLength
}

/** Copies declarations. What they import of `src` is one folder nearer in `dist`. */
function copyTypes(from, to) {
  for (const path of readdirSync(from, { recursive: true }).filter((name) => name.endsWith('.d.ts'))) {
    const text = readFileSync(join(from, path), 'utf8')
    replaceFile(join(to, path), text.replace(/\.\.\/((?:\.\.\/)*)src\//g, '$1'))
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [named] = readArguments(
    'Usage: node scripts/build-picker.mjs [folder]\n\nBuilds the picker. Default folder: dist/picker, with types.',
    1
  )
  const folder = named ?? join(ROOT, 'dist/picker')
  const gzipped = await buildPicker(folder)
  const { size } = statSync(join(folder, 'cloud-folder-picker.js'))
  console.log(`cloud-folder-picker.js: ${size} bytes, ${gzipped} gzipped (at most ${MAX_GZIPPED})`)
  if (gzipped > MAX_GZIPPED) process.exitCode = 1
  if (named === undefined) {
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    execFileSync(process.execPath, [tsc, '-p', join(ROOT, 'web/picker/tsconfig.build.json')], { stdio: 'inherit' })
    copyTypes(join(ROOT, '.cache/picker-types/web/picker'), folder)
  }
}
