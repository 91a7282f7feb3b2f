import { readFileSync } from 'node:fs'
import t from 'tap'
import { LONG_LINES, MAX_LINES, checkArchitecture, longFiles } from './support/architecture.ts'
import type { Rule } from './support/architecture.ts'
import type { SourceText } from './support/source-file.ts'
import { SRC, sourcePaths } from './support/source-tree.ts'

t.test('every file of src follows the architecture rules', async (t) => {
  const files = sourcePaths().map((path) => ({ path, source: readFileSync(new URL(path, SRC), 'utf8') }))
  t.ok(files.some(({ path }) => path === 'domain/errors.ts'))
  t.same(
    checkArchitecture(files).map(({ rule, message }) => `${rule}: ${message}`),
    []
  )
  for (const long of longFiles(files)) t.comment(`more than ${LONG_LINES}: ${long}`)
})

const rulesBroken = (...files: readonly SourceText[]): Rule[] => checkArchitecture(files).map(({ rule }) => rule)
const brokenBy = (path: string, source: string): Rule[] => rulesBroken({ path, source })

t.test('an import between modules is refused unless the table allows it', async (t) => {
  const forbidden: [string, string][] = [
    ['domain/a.ts', '../infra/clock.ts'],
    ['domain/a.ts', '../plugin.ts'],
    ['domain/deep/a.ts', '../../listing/a.ts'],
    ['infra/a.ts', '../listing/a.ts'],
    ['infra/net/a.ts', '../../providers/a.ts'],
    ['providers/a.ts', '../infra/crypto/a.ts'],
    ['providers/a.ts', '../infra/network/a.ts'],
    ['providers/shared/a.ts', '../../http/a.ts'],
    ['layers/a.ts', '../infra/clock.ts'],
    ['layers/a.ts', '../providers/a.ts'],
    ['listing/a.ts', '../resolver/a.ts'],
    ['resolver/a.ts', '../layers/a.ts'],
    ['connections/a.ts', '../infra/crypto/a.ts'],
    ['http/a.ts', '../infra/a.ts'],
    ['http/a.ts', '../plugin.ts'],
    ['plugin.ts', '../test/a.ts'],
    ['plugin.ts', './server/a.ts'],
    ['index.ts', './config.ts'],
    ['http/a.ts', '../server/a.ts'],
    ['index.ts', './picker/a.ts'],
    ['server/a.ts', '../picker/a.ts'],
    ['http/a.ts', '../picker/a.ts'],
    ['picker/a.ts', '../http/a.ts'],
    ['picker/a.ts', '../index.ts'],
    ['client/a.ts', '../domain/a.ts'],
    ['client/a.ts', '../http/a.ts'],
    ['client/a.ts', '../picker/a.ts'],
    ['index.ts', './client/a.ts'],
    ['server/a.ts', '../client/a.ts'],
    ['http/a.ts', '../client/a.ts'],
    ['domain/a.ts', '../../package.json']
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
      t.same(brokenBy(path, source), ['edge'], `${path}: ${source}`)
    }
  }
})

t.test('an import that the table allows, or within a module, is accepted', async (t) => {
  const permitted: [string, string][] = [
    ['domain/a.ts', './b.ts'],
    ['domain/deep/a.ts', '../b.ts'],
    ['infra/crypto/a.ts', '../../domain/a.ts'],
    ['infra/crypto/a.ts', '../clock.ts'],
    ['providers/a.ts', '../domain/a.ts'],
    ['providers/shared/a.ts', '../../infra/net/a.ts'],
    ['providers/registry.ts', './s3.ts'],
    ['layers/a.ts', '../domain/a.ts'],
    ['picker/a.ts', '../client/a.ts'],
    ['listing/a.ts', '../domain/a.ts'],
    ['resolver/a.ts', '../domain/a.ts'],
    ['connections/a.ts', '../domain/a.ts'],
    ['http/a.ts', '../domain/a.ts'],
    ['plugin.ts', './http/a.ts'],
    ['options.ts', './infra/net/a.ts'],
    ['server.ts', './server/a.ts'],
    ['config.ts', './server/a.ts'],
    ['server/a.ts', '../http/a.ts'],
    ['server/a.ts', '../config.ts'],
    ['infra/db/a.ts', '../../generated/prisma/client.ts']
  ]
  for (const [path, specifier] of permitted) {
    t.same(brokenBy(path, `import { a } from '${specifier}'`), [], `${path} → ${specifier}`)
  }
})

t.test('http may import types of listing, resolver and connections, and no values', async (t) => {
  for (const room of ['listing', 'resolver', 'connections']) {
    t.same(brokenBy('http/a.ts', `import type { A } from '../${room}/a.ts'`), [])
    t.same(brokenBy('http/a.ts', `export type { A } from '../${room}/a.ts'`), [])
    t.same(brokenBy('http/a.ts', `import { a } from '../${room}/a.ts'`), ['edge'])
    t.same(brokenBy('http/a.ts', `import { type A } from '../${room}/a.ts'`), ['edge'], 'this loads the module')
    t.same(brokenBy('http/a.ts', `await import('../${room}/a.ts')`), ['edge'])
  }
  t.same(brokenBy('listing/a.ts', `import type { A } from '../resolver/a.ts'`), ['edge'])
})

t.test('the picker may import types of the domain, and nothing of the server', async (t) => {
  t.same(brokenBy('picker/a.ts', `import type { A } from '../domain/a.ts'`), [])
  t.same(brokenBy('picker/a.ts', `import { a } from './b.ts'`), [])
  t.same(brokenBy('picker/a.ts', `import { a } from '../domain/a.ts'`), ['edge'])
  t.same(brokenBy('picker/a.ts', `import { type A } from '../domain/a.ts'`), ['edge'], 'this loads the module')
})

t.test('the page imports only itself and the picker, and no module imports the page', async (t) => {
  t.same(brokenBy('page/a.ts', `import { a } from '../picker/a.ts'`), [])
  for (const room of ['domain', 'client']) {
    t.same(brokenBy('page/a.ts', `import type { A } from '../${room}/a.ts'`), [], room)
  }
  for (const room of ['domain', 'client', 'http', 'server']) {
    t.same(brokenBy('page/a.ts', `import { a } from '../${room}/a.ts'`), ['edge'], room)
  }
  for (const path of ['picker/a.ts', 'server/a.ts', 'http/a.ts', 'plugin.ts']) {
    t.same(brokenBy(path, `import type { A } from '${path.includes('/') ? '..' : '.'}/page/a.ts'`), ['edge'], path)
  }
})

t.test('a module that is not in the table is refused', async (t) => {
  t.same(brokenBy('services/a.ts', ''), ['room'])
  t.same(brokenBy('new-file.ts', ''), [])
})

t.test('Prisma, pg and PGlite may be imported by infra/db only, including their types', async (t) => {
  const packages = ['@prisma/client', '@prisma/adapter-pg', 'prisma', 'pg', 'pg/lib/x.js', 'pg-pool']
  for (const name of [...packages, '@electric-sql/pglite', '@electric-sql/pglite/node-postgres']) {
    t.same(brokenBy('infra/db/a.ts', `import a from '${name}'`), [])
    t.same(brokenBy('plugin.ts', `import a from '${name}'`), ['database'])
    t.same(brokenBy('infra/a.ts', `import type a from '${name}'`), ['database'])
    t.same(brokenBy('server.ts', `await import('${name}')`), ['database'])
  }
  t.same(brokenBy('plugin.ts', `import { PrismaClient } from './generated/prisma/client.ts'`), ['database'])
  t.same(brokenBy('plugin.ts', `import a from 'pgp'`), [])
})

t.test('the clock is read in one file of the server and in one of the picker', async (t) => {
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
    t.same(brokenBy('listing/a.ts', source), ['clock'], source)
    t.same(brokenBy('infra/clock.ts', source), [])
    t.same(brokenBy('picker/clock.ts', source), [])
    t.same(brokenBy('picker/a.ts', source), ['clock'], source)
  }
  for (const source of ['new Date(0)', 'Date.parse(text)', 'clock.now()', '// Date.now()', '"Date.now()"']) {
    t.same(brokenBy('listing/a.ts', source), [], source)
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
    t.same(brokenBy('plugin.ts', source), ['environment'], source)
    t.same(brokenBy('infra/config.ts', source), ['environment'], source)
    t.same(brokenBy('config.ts', source), [])
    t.same(brokenBy('server.ts', source), [])
    t.same(brokenBy('server/rotate-keys.ts', source), [])
  }
  t.same(brokenBy('plugin.ts', 'process.exitCode = 1; options.env'), [])
})

t.test('only http maps codes to statuses', async (t) => {
  for (const source of [
    'const a = { FOLDER_NOT_FOUND: 404 }',
    'const a = { "INTERNAL": 500 }',
    'const a = new Map([["LOCKED", 423]])'
  ]) {
    t.same(brokenBy('plugin.ts', source), ['status'], source)
    t.same(brokenBy('http/status.ts', source), [])
  }
  t.same(brokenBy('providers/a.ts', 'const a = { 404: "FOLDER_NOT_FOUND", max: 500, LOCKED: 1 }'), [])
})

t.test('files must not import each other in a cycle, even for types', async (t) => {
  const a = { path: 'domain/a.ts', source: `import type { B } from './b.ts'` }
  const b = { path: 'domain/b.ts', source: `export * from './c.ts'` }
  t.same(rulesBroken(a, b, { path: 'domain/c.ts', source: `const load = () => import('./a.ts')` }), ['cycle'])
  t.same(rulesBroken(a, { path: 'domain/b.ts', source: `import { a } from './a.ts'` }), ['cycle'])
  t.same(brokenBy('domain/a.ts', `import { a } from './a.ts'`), ['cycle'])
  t.same(rulesBroken(a, b, { path: 'domain/c.ts', source: '' }), [])
  t.same(
    rulesBroken(
      a,
      { path: 'domain/b.ts', source: `import './c.ts'` },
      { path: 'domain/c.ts', source: `import './b.ts'` }
    ),
    ['cycle'],
    'a cycle without the first file'
  )
})

t.test('a file has a maximum number of lines, and a long file is named before that', async (t) => {
  const lines = (count: number): SourceText => ({ path: 'domain/a.ts', source: '// line\n'.repeat(count) })
  t.same(rulesBroken(lines(MAX_LINES)), [])
  t.same(rulesBroken(lines(MAX_LINES + 1)), ['length'])
  t.same(longFiles([lines(LONG_LINES)]), [])
  t.same(longFiles([lines(LONG_LINES + 1)]), [`domain/a.ts: ${LONG_LINES + 1} lines`])
  for (const path of ['generated/prisma/client.ts', 'client/api-types.ts']) {
    t.same(rulesBroken({ ...lines(MAX_LINES + 1), path }), [], path)
  }
  t.same(rulesBroken({ ...lines(MAX_LINES + 1), path: 'client/client.ts' }), ['length'])
})

t.test('file names must not be generic', async (t) => {
  for (const path of ['utils.ts', 'domain/utils.ts', 'infra/net/util.ts', 'http/helpers.ts']) {
    t.same(brokenBy(path, ''), ['name'], path)
  }
})

t.test('a provider loads its SDK at first use', async (t) => {
  t.same(brokenBy('providers/s3.ts', `import { S3Client } from '@aws-sdk/client-s3'`), ['sdk'])
  t.same(brokenBy('providers/shared/a.ts', `export * from 'fast-xml-parser'`), ['sdk'])
  t.same(brokenBy('providers/s3.ts', `import { type S3Client } from '@aws-sdk/client-s3'`), ['sdk'])
  t.same(brokenBy('providers/s3.ts', `import type { S3Client } from '@aws-sdk/client-s3'`), [])
  t.same(brokenBy('providers/s3.ts', `const a = () => import('@aws-sdk/client-s3')`), [])
  t.same(brokenBy('providers/s3.ts', `import { Readable } from 'node:stream'`), [])
  t.same(brokenBy('infra/a.ts', `import ipaddr from 'ipaddr.js'`), [])
})

t.test('the names of an import can be parsed', async (t) => {
  for (const source of ['await import(name)', 'await import(`./${name}.ts`)', `import('a' + name)`, 'require(name)']) {
    t.same(brokenBy('plugin.ts', source), ['computed-import'], source)
  }
})
