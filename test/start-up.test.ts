import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import packageJson from '../package.json' with { type: 'json' }

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Provider SDKs are optional peers; a host without them must start, and pay for none that it does not use. */
const SDKS = Object.keys(packageJson.peerDependenciesMeta)

t.test('start-up imports no provider SDK, and a request to one provider imports exactly that provider’s', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'imports-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const log = join(folder, 'imports')
  const preload = ['--import', './test/support/record-imports.mjs', '--import', 'tsx']
  await promisify(execFile)(process.execPath, [...preload, 'test/support/start-up-probe.ts'], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, IMPORT_LOG: log }
  })
  const [imported = '', starting = '', working = ''] = (await readFile(log, 'utf8')).split(/^# (?:start|ready)\n/m)
  const sdksOf = (text: string) => [
    ...new Set(text.split('\n').filter((name) => SDKS.some((sdk) => name.startsWith(sdk))))
  ]
  t.match(imported, 'lru-cache', 'the recorder sees imports')
  t.same(sdksOf(imported), [])
  t.same(sdksOf(starting), [])
  t.same(sdksOf(working), ['@aws-sdk/client-s3'])
  t.match(working, '# answered 201 200')
})
