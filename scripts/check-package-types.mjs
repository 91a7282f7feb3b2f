// Compiles a host of the packed package, with the module resolution of Node and with that of bundlers. Fails if an
// entry point has no types, or if a declaration does not compile.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { readArguments } from './arguments.mjs'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
/** Below the root, where the package finds its dependencies. */
const HOST = join(ROOT, '.cache/package-host')

readArguments(
  'Usage: node scripts/check-package-types.mjs\n\nPacks the package, and compiles its types as a host would. Needs dist/.'
)

const { name, exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
const installed = join(HOST, 'node_modules', name)
rmSync(HOST, { recursive: true, force: true })
mkdirSync(installed, { recursive: true })
// Without scripts: `prepack` would build again.
const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', HOST]
const [{ filename }] = JSON.parse(execFileSync('npm', pack, { cwd: ROOT, encoding: 'utf8' }))
execFileSync('tar', ['-xzf', join(HOST, filename), '--strip-components=1', '-C', installed])

const specifiers = Object.entries(exports)
  .filter(([, target]) => target.types !== undefined)
  .map(([path]) => path.replace('.', name))
// A package of its own: in ours, the name leads to dist/ itself, and nothing that was packed is read.
writeFileSync(join(HOST, 'package.json'), '{}\n')
const host = join(HOST, 'host.mts')
writeFileSync(host, specifiers.map((specifier, at) => `export * as entry${at} from '${specifier}'\n`).join(''))

const RESOLUTIONS = [
  { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler }
]
for (const resolution of RESOLUTIONS) {
  const program = ts.createProgram([host], {
    ...resolution,
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: ['node'],
    strict: true,
    noEmit: true
  })
  const own = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(HOST))
  const findings = [
    ...program.getOptionsDiagnostics(),
    // The declarations of other packages are not checked.
    ...own.flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
  ]
  process.stdout.write(
    ts.formatDiagnostics(findings, {
      getCurrentDirectory: () => HOST,
      getCanonicalFileName: (path) => path,
      getNewLine: () => '\n'
    })
  )
  if (findings.length > 0 || own.length <= specifiers.length) process.exitCode = 1
  const label = ts.ModuleResolutionKind[resolution.moduleResolution]
  console.log(`${label}: ${specifiers.length} entry points, ${own.length - 1} files, ${findings.length} errors`)
}
