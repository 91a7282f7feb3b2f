import { readFileSync } from 'node:fs'
import t from 'tap'
import { checkArchitecture, LONG_FILE_LINES, longFiles, MAX_LINES, type Rule } from './support/source/architecture.ts'
import type { SourceText } from './support/source/source-file.ts'
import { ROOT, sourcePaths } from './support/source/source-tree.ts'

t.test('every source file follows the rules of the architecture', async (t) => {
  const files = sourcePaths().map((path) => ({ path, source: readFileSync(new URL(path, ROOT), 'utf8') }))
  t.ok(files.some(({ path }) => path === 'src/errors.ts'))
  t.same(
    checkArchitecture(files).map(({ rule, message }) => `${rule}: ${message}`),
    []
  )
  for (const long of longFiles(files)) t.comment(`more than ${LONG_FILE_LINES}: ${long}`)
})

const rulesBroken = (...files: readonly SourceText[]): Rule[] => checkArchitecture(files).map(({ rule }) => rule)
const brokenBy = (path: string, source: string): Rule[] => rulesBroken({ path, source })

t.test('an import that the table does not contain is reported, in every notation', async (t) => {
  const forbidden: [string, string][] = [
    ['src/core/a.ts', '../net/a.ts'],
    ['src/core/a.ts', '../plugin.ts'],
    ['src/core/deep/a.ts', '../../listing/a.ts'],
    ['src/errors.ts', './core/a.ts'],
    ['src/net/a.ts', '../listing/a.ts'],
    ['src/net/a.ts', '../crypto/a.ts'],
    ['src/providers/a.ts', '../crypto/a.ts'],
    ['src/providers/shared/a.ts', '../../http/a.ts'],
    ['src/layers/a.ts', '../net/a.ts'],
    ['src/layers/a.ts', '../providers/a.ts'],
    ['src/cache/a.ts', '../listing/a.ts'],
    ['src/listing/a.ts', '../transfers/a.ts'],
    ['src/transfers/a.ts', '../layers/a.ts'],
    ['src/connections/a.ts', '../crypto/a.ts'],
    ['src/http/a.ts', '../net/a.ts'],
    ['src/http/a.ts', '../plugin.ts'],
    ['src/plugin.ts', '../test/a.ts'],
    ['src/plugin.ts', '../server/a.ts'],
    ['src/http/a.ts', '../../server/a.ts'],
    ['src/index.ts', '../web/picker/a.ts'],
    ['server/a.ts', '../web/picker/a.ts'],
    ['src/http/a.ts', '../../web/picker/a.ts'],
    ['web/picker/a.ts', '../../src/http/a.ts'],
    ['web/picker/a.ts', '../../src/index.ts'],
    ['web/picker/a.ts', '../../server/a.ts'],
    ['src/client/a.ts', '../core/a.ts'],
    ['src/client/a.ts', '../http/a.ts'],
    ['src/client/a.ts', '../../web/picker/a.ts'],
    ['src/index.ts', './client/a.ts'],
    ['server/a.ts', '../src/client/a.ts'],
    ['src/http/a.ts', '../client/a.ts'],
    ['src/http/a.ts', '../generated/openapi.ts'],
    ['src/core/a.ts', '../../package.json']
  ]
  for (const [path, specifier] of forbidden) {
    for (const source of [
      `import { a } from '${specifier}'`,
      `import '${specifier}'`,
      `import * as a from '${specifier}'`,
      `import type { A } from '${specifier}'`,
      `export { a } from '${specifier}'`,
      `export * from '${specifier}'`,
      `export type { A } from '${specifier}'`,
      `import a = require('${specifier}')`,
      `const a = () => import('${specifier}')`,
      `const a = await import(\`${specifier}\`)`,
      `const a = require('${specifier}')`,
      `let a: import('${specifier}').A`,
      `let a: typeof import('${specifier}')`
    ]) {
      t.same(brokenBy(path, source), ['import'], `${path}: ${source}`)
    }
  }
})

t.test('an import that the table contains passes, and so does one within a module', async (t) => {
  const permitted: [string, string][] = [
    ['src/core/a.ts', './b.ts'],
    ['src/core/deep/a.ts', '../b.ts'],
    ['src/core/a.ts', '../errors.ts'],
    ['src/crypto/a.ts', '../core/a.ts'],
    ['src/providers/a.ts', '../core/a.ts'],
    ['src/providers/shared/a.ts', '../../net/a.ts'],
    ['src/providers/registry.ts', './s3/index.ts'],
    ['src/layers/a.ts', '../core/a.ts'],
    ['src/listing/a.ts', '../cache/a.ts'],
    ['src/connections/a.ts', '../errors.ts'],
    ['src/http/a.ts', '../core/a.ts'],
    ['src/db/a.ts', '../generated/prisma/client.ts'],
    ['src/plugin.ts', './http/a.ts'],
    ['src/services.ts', './instances.ts'],
    ['server/a.ts', '../src/http/a.ts'],
    ['server/demo/a.ts', '../config.ts'],
    ['web/picker/a.ts', '../../src/client/a.ts'],
    ['web/picker/view/a.ts', '../state/b.ts'],
    ['web/page/a.ts', '../picker/a.ts']
  ]
  for (const [path, specifier] of permitted) {
    t.same(brokenBy(path, `import { a } from '${specifier}'`), [], `${path} → ${specifier}`)
  }
})

t.test('some modules may import only the types of others', async (t) => {
  const onlyTypes: [string, string][] = [
    ['src/http/a.ts', '../listing/a.ts'],
    ['src/http/a.ts', '../connections/a.ts'],
    ['src/http/a.ts', '../transfers/a.ts'],
    ['src/documents/a.ts', '../connections/a.ts'],
    ['src/redis/a.ts', '../cache/a.ts'],
    ['web/picker/a.ts', '../../src/core/a.ts'],
    ['web/page/a.ts', '../../src/core/a.ts'],
    ['web/page/a.ts', '../../src/client/a.ts'],
    ['src/client/a.ts', '../generated/openapi.ts']
  ]
  for (const [path, specifier] of onlyTypes) {
    t.same(brokenBy(path, `import type { A } from '${specifier}'`), [], `${path} → ${specifier}`)
    t.same(brokenBy(path, `export type { A } from '${specifier}'`), [])
    t.same(brokenBy(path, `import { a } from '${specifier}'`), ['import'])
    t.same(brokenBy(path, `import { type A } from '${specifier}'`), ['import'], 'this loads the module')
    t.same(brokenBy(path, `await import('${specifier}')`), ['import'])
  }
  t.same(brokenBy('src/listing/a.ts', `import type { A } from '../transfers/a.ts'`), ['import'])
})

t.test('a module that the table does not contain is reported', async (t) => {
  t.same(brokenBy('src/services/a.ts', ''), ['module'])
  t.same(brokenBy('web/a/b.ts', ''), ['module'])
  t.same(brokenBy('src/new-file.ts', ''), [])
  t.same(brokenBy('server/new-folder/a.ts', ''), [])
})

t.test('Prisma, pg and PGlite are imported in src/db only, their types included', async (t) => {
  const packages = ['@prisma/client', '@prisma/adapter-pg', 'prisma', 'pg', 'pg/lib/x.js', 'pg-pool']
  for (const name of [...packages, '@electric-sql/pglite', '@electric-sql/pglite/node-postgres']) {
    t.same(brokenBy('src/db/a.ts', `import a from '${name}'`), [])
    t.same(brokenBy('src/plugin.ts', `import a from '${name}'`), ['database'])
    t.same(brokenBy('src/net/a.ts', `import type a from '${name}'`), ['database'])
    t.same(brokenBy('server/main.ts', `await import('${name}')`), ['database'])
  }
  t.same(brokenBy('src/plugin.ts', `import { PrismaClient } from './generated/prisma/client.ts'`), ['database'])
  t.same(brokenBy('src/plugin.ts', `import a from 'pgp'`), [])
})

t.test('one file of the package reads the clock, and one of the picker', async (t) => {
  for (const source of [
    'const a = Date.now()',
    'const a = Date["now"]()',
    'const a = globalThis.Date.now()',
    'const a = performance.now()',
    'const a = { now: performance.now }',
    'const a = process.hrtime.bigint()',
    'const a = process.uptime()',
    'const a = new Date()',
    'const a = new Date',
    'const a = Date()',
    'const { now } = Date',
    'const { now: a } = performance'
  ]) {
    t.same(brokenBy('src/listing/a.ts', source), ['clock'], source)
    t.same(brokenBy('src/core/time.ts', source), [])
    t.same(brokenBy('web/picker/clock.ts', source), [])
    t.same(brokenBy('web/picker/a.ts', source), ['clock'], source)
  }
  for (const source of ['new Date(0)', 'Date.parse(text)', 'clock.now()', '// Date.now()', '"Date.now()"']) {
    t.same(brokenBy('src/listing/a.ts', source), [], source)
  }
})

t.test('only config and the programs read the environment', async (t) => {
  for (const source of [
    'process.env.A',
    'process["env"]',
    'globalThis.process.env',
    'const { env } = process',
    'const { env: a } = process',
    `import { env } from 'node:process'`,
    `import { env as a } from 'process'`,
    `import process from 'node:process'; a(process.env)`
  ]) {
    t.same(brokenBy('src/plugin.ts', source), ['environment'], source)
    t.same(brokenBy('src/net/config.ts', source), ['environment'], source)
    t.same(brokenBy('server/config.ts', source), [])
    t.same(brokenBy('server/main.ts', source), [])
    t.same(brokenBy('server/rotate-keys.ts', source), [])
  }
  t.same(brokenBy('src/plugin.ts', 'process.exitCode = 1; options.env'), [])
})

t.test('only the error catalogue gives codes a status', async (t) => {
  for (const source of [
    'const a = { FOLDER_NOT_FOUND: 404 }',
    'const a = { "INTERNAL": 500 }',
    'const a = new Map([["LOCKED", 423]])'
  ]) {
    t.same(brokenBy('src/plugin.ts', source), ['status'], source)
    t.same(brokenBy('src/errors.ts', source), [])
  }
  t.same(brokenBy('src/providers/a.ts', 'const a = { 404: "FOLDER_NOT_FOUND", max: 500, LOCKED: 1 }'), [])
})

t.test('files do not import each other in a cycle, not even their types', async (t) => {
  const a = { path: 'src/core/a.ts', source: `import type { B } from './b.ts'` }
  const b = { path: 'src/core/b.ts', source: `export * from './c.ts'` }
  t.same(rulesBroken(a, b, { path: 'src/core/c.ts', source: `const load = () => import('./a.ts')` }), ['cycle'])
  t.same(rulesBroken(a, { path: 'src/core/b.ts', source: `import { a } from './a.ts'` }), ['cycle'])
  t.same(brokenBy('src/core/a.ts', `import { a } from './a.ts'`), ['cycle'])
  t.same(rulesBroken(a, b, { path: 'src/core/c.ts', source: '' }), [])
  t.same(
    rulesBroken(
      a,
      { path: 'src/core/b.ts', source: `import './c.ts'` },
      { path: 'src/core/c.ts', source: `import './b.ts'` }
    ),
    ['cycle'],
    'a cycle without the first file'
  )
})

t.test('a file has a maximal length, and long files are reported before it', async (t) => {
  const lines = (count: number): SourceText => ({ path: 'src/core/a.ts', source: '// line\n'.repeat(count) })
  t.same(rulesBroken(lines(MAX_LINES)), [])
  t.same(rulesBroken(lines(MAX_LINES + 1)), ['length'])
  t.same(longFiles([lines(LONG_FILE_LINES)]), [])
  t.same(longFiles([lines(LONG_FILE_LINES + 1)]), [`src/core/a.ts: ${LONG_FILE_LINES + 1} lines`])
  for (const path of ['src/generated/prisma/client.ts', 'src/generated/openapi.ts']) {
    t.same(rulesBroken({ ...lines(MAX_LINES + 1), path }), [], path)
  }
  t.same(rulesBroken({ ...lines(MAX_LINES + 1), path: 'src/client/index.ts' }), ['length'])
})

t.test('a file is named after its subject', async (t) => {
  for (const path of ['src/utils.ts', 'src/core/utils.ts', 'src/net/util.ts', 'src/http/helpers.ts']) {
    t.same(brokenBy(path, ''), ['name'], path)
  }
})

t.test('a provider loads its SDK at first use', async (t) => {
  t.same(brokenBy('src/providers/s3/index.ts', `import { S3Client } from '@aws-sdk/client-s3'`), ['sdk'])
  t.same(brokenBy('src/providers/shared/a.ts', `export * from 'saxes'`), ['sdk'])
  t.same(brokenBy('src/providers/s3/index.ts', `import { type S3Client } from '@aws-sdk/client-s3'`), ['sdk'])
  t.same(brokenBy('src/providers/s3/index.ts', `import type { S3Client } from '@aws-sdk/client-s3'`), [])
  t.same(brokenBy('src/providers/s3/index.ts', `const a = () => import('@aws-sdk/client-s3')`), [])
  t.same(brokenBy('src/providers/s3/index.ts', `import { Readable } from 'node:stream'`), [])
  t.same(brokenBy('src/net/a.ts', `import ipaddr from 'ipaddr.js'`), [])
})

t.test('imports name their module literally', async (t) => {
  for (const source of ['await import(name)', 'await import(`./${name}.ts`)', `import('a' + name)`, 'require(name)']) {
    t.same(brokenBy('src/plugin.ts', source), ['computed-import'], source)
  }
})
