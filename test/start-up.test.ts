import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { compiledUrl } from './support/source/compiled.ts'
import type { DriveProbe } from './support/process/start-up-drive-probe.ts'
import packageJson from '../package.json' with { type: 'json' }

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const ENVIRONMENT = { PATH: process.env.PATH, COMPILED_TESTS: process.env.COMPILED_TESTS }
const compiled = (path: string): string => fileURLToPath(compiledUrl(path))
/** Not a provider SDK: it is resolved when the plugin is registered. */
const TRACING = '@opentelemetry/api'
/** Provider SDKs are optional peers: a host must start without them, and must not load unused ones. */
const SDKS = Object.keys(packageJson.peerDependenciesMeta).filter((name) => name !== TRACING)

t.test('start-up imports no provider SDK, and a request to one provider imports only its SDK', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'imports-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const log = join(folder, 'imports')
  const preload = ['--import', './test/support/source/record-imports.mjs']
  await promisify(execFile)(process.execPath, [...preload, compiled('test/support/process/start-up-probe.ts')], {
    cwd: ROOT,
    env: { ...ENVIRONMENT, IMPORT_LOG: log }
  })
  const [imported = '', starting = '', working = ''] = (await readFile(log, 'utf8')).split(/^# (?:start|ready)\n/m)
  const sdksOf = (text: string) => [
    ...new Set(text.split('\n').filter((name) => SDKS.some((sdk) => name.startsWith(sdk))))
  ]
  t.match(imported, 'lru-cache', 'the recorder sees imports')
  t.same(sdksOf(imported), [])
  t.notMatch(imported, TRACING, 'importing the plugin does not load OpenTelemetry')
  t.match(starting, TRACING)
  t.same(sdksOf(starting), [])
  t.same(sdksOf(working), ['@aws-sdk/client-s3'])
  t.match(working, '# answered 201 200')
})

t.test('the first request to Drive loads Google’s SDK, and only its part for Drive', async (t) => {
  const probe = [compiled('test/support/process/start-up-drive-probe.ts')]
  const { stdout } = await promisify(execFile)(process.execPath, probe, { cwd: ROOT, env: ENVIRONMENT })
  const { statuses, before, after } = JSON.parse(stdout) as DriveProbe
  t.same(statuses, [200, 200, 503, 200])
  t.same(before, [])
  t.ok(after.includes('build/src/apis/drive/v3.js'))
  t.same(
    after.filter((path) => !path.startsWith('build/src/apis/drive/')),
    []
  )
})
