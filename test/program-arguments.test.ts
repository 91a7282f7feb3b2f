import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { missingPackages, warnAboutMissingPackages } from '../src/options/providers.ts'
import { PROVIDERS } from '../src/providers/registry.ts'
import { compiledUrl } from './support/source/compiled.ts'
import { sourcePaths } from './support/source/source-tree.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))

/** All programs; the first group runs compiled. */
const PROGRAMS = [
  ...['server/main.ts', 'server/rotate-keys.ts', 'server/migrate.ts', 'demo/main.ts'].map((path) =>
    fileURLToPath(compiledUrl(path))
  ),
  'scripts/build-page.mjs',
  'scripts/build-picker.mjs',
  'scripts/check-package-types.mjs',
  'scripts/db-check.mjs',
  'scripts/generate.mjs',
  'scripts/server-dependencies.mjs',
  'scripts/test-prism.mjs',
  'scripts/tests/run.mjs',
  'scripts/walk.mjs',
  'bench/run.mjs',
  'bench/import-time.mjs',
  'bench/first-drive-request.mjs',
  'bench/slow-client-memory.mjs',
  'bench/hostile-listings.mjs'
]

async function run(program: string, ...args: string[]) {
  try {
    // A program that starts instead of printing its help ends at once, because of a port that is none.
    const env = { PATH: process.env['PATH'] ?? '', PORT: 'none' }
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [program, ...args], {
      cwd: ROOT,
      env,
      timeout: 120_000
    })
    return { code: 0, stdout, stderr }
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string }
  }
}

for (const program of PROGRAMS) {
  t.test(`--help of ${program.split('/').slice(-2).join('/')} prints help and does nothing else`, async (t) => {
    const before = readFileSync(`${ROOT}package.json`, 'utf8')
    for (const argument of ['--help', '-h']) {
      const { code, stdout, stderr } = await run(program, argument)
      t.equal(code, 0, stderr)
      t.match(stdout, /^Usage: /)
      t.ok(stdout.split('\n').length < 15, stdout)
    }
    const unknown = await run(program, '--no-such-option')
    t.not(unknown.code, 0)
    t.match(unknown.stderr, 'no-such-option')
    t.equal(readFileSync(`${ROOT}package.json`, 'utf8'), before)
  })
}

t.test('npm run test:browser and test:services run their folder, or only the given files', async (t) => {
  const { scripts } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as { scripts: Record<string, string> }
  for (const suite of ['browser', 'services']) {
    const [node, program = '', ...args] = (scripts[`test:${suite}`] ?? '').split(' ')
    t.equal(node, 'node')
    const list = async (...named: string[]) =>
      (await run(program, ...args, '--list', ...named)).stdout.trim().split('\n')
    const all = readdirSync(`${ROOT}test/${suite}`)
      .filter((name) => name.endsWith('.test.ts'))
      .sort()
    t.same(
      await list(),
      all.map((name) => `test/${suite}/${name}`)
    )
    t.same(await list(`test/${suite}/${all[1]!}`), [`test/${suite}/${all[1]!}`])
  }
  t.notMatch((await run('scripts/tests/run.mjs', '--list')).stdout, /test\/(?:browser|services)\//)
})

t.test('the packages of each provider are those that its sources import', async (t) => {
  const imported = new Map<string, Set<string>>()
  for (const path of sourcePaths().filter((each) => each.startsWith('src/providers/'))) {
    const folder = path.split('/')[2]!.replace('-', '_')
    const source = readFileSync(join(ROOT, path), 'utf8')
    for (const [, name] of source.matchAll(/importSdk\(\s*'([^']+)'/g)) {
      imported.set(folder, (imported.get(folder) ?? new Set()).add(name!))
    }
  }
  t.same(
    Object.fromEntries([...imported].map(([id, names]) => [id, [...names].sort()])),
    Object.fromEntries(
      Object.entries(PROVIDERS).flatMap(([id, { packages }]) => (packages ? [[id, [...packages].sort()]] : []))
    )
  )
  for (const id of Object.keys(PROVIDERS)) t.same(missingPackages(id), [], 'they are installed here')
})

t.test('missing packages are logged for enabled providers only', async (t) => {
  const lines: [object, string][] = []
  const log = { warn: (fields: object, message: string) => lines.push([fields, message]) } as never
  const find = (name: string): string => {
    if (name === 'googleapis') throw Object.assign(new Error('x'), { code: 'MODULE_NOT_FOUND' })
    if (name === '@aws-sdk/lib-storage') throw Object.assign(new Error('x'), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' })
    return name
  }
  const enabled = { provider: undefined, allowHosts: [], oauth: undefined }
  warnAboutMissingPackages({ providers: new Map([['s3', enabled]]), managed: new Map() }, log, find)
  t.same(lines, [])
  const managed = new Map([['minio', { type: 's3' } as never]])
  warnAboutMissingPackages({ providers: new Map([['google_drive', enabled]]), managed }, log, find)
  t.match(lines, [[{ provider: 'google_drive', packages: ['googleapis'] }, /npm install googleapis/]])
  t.equal(lines.length, 1)
})
