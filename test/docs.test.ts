import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Registry } from 'prom-client'
import t from 'tap'
import ts from 'typescript'
import { STORAGE_ERROR_CODES, StorageError, type StorageErrorCode } from '../src/errors.ts'
import { createMetrics } from '../src/telemetry/metrics.ts'
import { MANAGED_STORES, PROVIDERS } from '../src/providers/registry.ts'
import { IMPORT_TABLE } from './support/source/architecture.ts'
import { TEST_TIMEOUTS } from './support/time/timeouts.ts'
import packageJson from '../package.json' with { type: 'json' }

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

const PAGES = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => join('docs', path))
    .sort()
]

interface Block {
  readonly page: string
  /** The line of its first line in the page, counted from 1. */
  readonly line: number
  /** The info string of the fence: `ts`, `sh`, `ts ignore-check`. */
  readonly info: string
  readonly code: string
}

/** Returns the fenced blocks of a page, without their indentation. */
function blocksOf(page: string): Block[] {
  const markdown = text(page)
  return [...markdown.matchAll(/^( *)```([^\n]*)\n(.*?)^ *```$/gms)].map(({ index, 1: indent, 2: info, 3: code }) => ({
    page,
    line: markdown.slice(0, index).split('\n').length + 1,
    info: info!.trim(),
    code: code!.replace(new RegExp(`^${indent!}`, 'gm'), '')
  }))
}

/** Returns the page without its code blocks. */
function proseOf(page: string): string {
  return text(page).replace(/^ *```.*?^ *```$/gms, '')
}

/** Returns the anchors of headings, as GitHub generates them. */
function anchorsOf(page: string): Set<string> {
  const headings = [...proseOf(page).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => heading!)
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-')
    )
  )
}

t.test('docs/errors.md explains every code with its status, and no other', async (t) => {
  const [, ...sections] = proseOf('docs/errors.md').split(/^## /m)
  const stated = new Map(sections.map((section) => [section.split('\n', 1)[0]!, section]))
  t.equal(stated.size, sections.length, 'no code appears twice')
  t.same([...stated.keys()].sort(), [...STORAGE_ERROR_CODES].sort())

  const statuses: number[] = []
  for (const [code, section] of stated) {
    const error = new StorageError(code as StorageErrorCode)
    const retry = error.retryable ? 'retryable' : 'not retryable'
    const after = error.headers['retry-after'] === undefined ? '' : ', with `Retry-After`'
    t.equal(section.split('\n')[2], `**${error.statusCode}**, ${retry}${after}.`, code)
    for (const part of ['When', 'Client', 'Operator']) t.match(section, `**${part}:**`, `${code}: ${part}`)
    statuses.push(error.statusCode)
  }
  t.same(statuses, statuses.toSorted(), 'in the order of the statuses')
})

t.test('the exchanges in docs/errors.md have the status, title and type of their code', async (t) => {
  const answers = blocksOf('docs/errors.md').filter(({ code }) => code.startsWith('HTTP/1.1'))
  t.ok(answers.length > 3)
  for (const { code: answer, line } of answers) {
    const [head = '', body = ''] = answer.split('\n\n')
    const problem = JSON.parse(body) as { code: StorageErrorCode; status: number; type: string; title: string }
    const { code, status, type, title } = problem
    t.same(Object.keys(problem), ['type', 'title', 'status', 'detail', 'code', 'requestId'], `line ${line}`)
    t.equal(status, new StorageError(code).statusCode)
    t.ok(head.startsWith(`HTTP/1.1 ${status} `))
    t.equal(type, `urn:fastify-cloud-storage:error:${code}`)
    t.equal(title.toUpperCase().replaceAll(' ', '_'), code)
  }
})

t.test('the table of errors in docs/http-api.md matches the code', async (t) => {
  const rows = [...text('docs/http-api.md').matchAll(/^\| (\d{3}) \| (.+) \|$/gm)]
  const stated = rows.flatMap(([, status, codes]) =>
    [...codes!.matchAll(/`(\w+)`/g)].map(([, code]) => [code!, Number(status)] as const)
  )
  t.equal(new Set(stated.map(([code]) => code)).size, stated.length, 'no code appears twice')
  t.same(
    Object.fromEntries(stated),
    Object.fromEntries(STORAGE_ERROR_CODES.map((code) => [code, new StorageError(code).statusCode]))
  )
})

t.test('the README has every option and no other', async (t) => {
  const source = ts.createSourceFile('options.ts', text('src/options/options.ts'), ts.ScriptTarget.Latest, true)
  const membersOf = (name: string, file = source): string[] => {
    const found = file.statements.find((node) => ts.isInterfaceDeclaration(node) && node.name.text === name)
    if (found === undefined || !ts.isInterfaceDeclaration(found)) throw new Error(`there is no interface ${name}`)
    return found.members.map((member) => member.name!.getText())
  }
  const sourceOf = (path: string) => ts.createSourceFile(path, text(path), ts.ScriptTarget.Latest, true)
  const stores = sourceOf('src/core/stores.ts')
  const options = [
    ...membersOf('CloudStorageOptions'),
    ...['CacheOptions', 'GivenCacheOptions'].flatMap((name) => membersOf(name)).map((name) => `cache.${name}`),
    ...membersOf('LimitOptions').map((name) => `limits.${name}`),
    ...membersOf('Timeouts', stores).map((name) => `timeouts.${name}`),
    ...membersOf('TransferOptions').map((name) => `transfers.${name}`),
    ...membersOf('SpoolOptions').map((name) => `spool.${name}`)
  ]
  const [, table = ''] = text('README.md').split('\n## Options\n')
  const names = [...table.split('\n## ')[0]!.matchAll(/^\| (`.+?) \|/gm)].map(([, cell]) => cell!)
  const stated = names.flatMap((cell) => [...cell.matchAll(/`([\w.]+)`/g)].map(([, name]) => name!))
  t.same(stated.sort(), options.sort())
})

t.test('the defaults of numbers in the README match the code', async (t) => {
  const source = text('src/options/options.ts')
  const rows = [...text('README.md').matchAll(/^\| `(?:cache|limits|timeouts)\.(\w+)` \| `([\d_]+)` \|/gm)]
  t.equal(rows.length, 17)
  for (const [, name, value] of rows) {
    const [, expression = ''] = new RegExp(`\\b${name!}: ([\\d_]+(?: \\* [\\d_]+)*)`).exec(source) ?? []
    const factors = expression.split(' * ').map((factor) => Number(factor.replaceAll('_', '')))
    t.equal(
      Number(value!.replaceAll('_', '')),
      factors.reduce((product, factor) => product * factor, 1),
      name!
    )
  }
})

t.test('the table of capabilities in docs/providers.md matches what each provider declares', async (t) => {
  const ABILITY = 'native|emulated|unsupported'
  const rows = text('docs/providers.md')
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim())
    )
  const head = rows.findIndex((row) => row.includes('`atomicReplace`'))
  const columns = rows[head]!.slice(1).map((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name!))
  const declared = new Map<string, unknown>()
  for (const [id, { load }] of Object.entries(PROVIDERS))
    declared.set(`\`${id}\``, { changes: 'unsupported', ...(await load()).provider.capabilities })
  const documented = rows.slice(head + 2, head + 2 + declared.size)
  t.same(documented.map(([id]) => id).sort(), [...declared.keys()].sort())
  for (const [id = '', ...cells] of documented) {
    const said: Record<string, string> = {}
    for (const [index, names] of columns.entries()) {
      const cell = cells[index] ?? ''
      // The first words apply to all connections; the rest applies to some, or to one ability.
      const [first = ''] = new RegExp(`^(?:${ABILITY})(?:, (?:${ABILITY}))*`).exec(cell) ?? []
      const abilities = first.split(', ')
      for (const [at, name] of names.entries()) said[name] = abilities[at] ?? abilities[0]!
      for (const [, name, ability] of cell.matchAll(new RegExp(`\`(\\w+)\` (${ABILITY})`, 'g'))) said[name!] = ability!
    }
    t.same(said, declared.get(id), id)
  }
})

t.test('the capabilities of the disk store in docs/providers.md match what it declares', async (t) => {
  const [, sentence = ''] = /of type `disk` (.*?)\.\s/s.exec(text('docs/providers.md')) ?? []
  const has = (pattern: RegExp, ability: string) => (pattern.test(sentence) ? ability : 'native')
  const { openManaged } = await MANAGED_STORES.disk()
  const { capabilities } = await openManaged({ type: 'disk', directory: t.testdir() }, { timeouts: TEST_TIMEOUTS })
  const emulated = /`emulated` paging, kind filter\s+and `updateIfMatch`/
  t.same(capabilities, {
    ...Object.fromEntries(Object.keys(capabilities).map((name) => [name, 'native'])),
    paging: has(emulated, 'emulated'),
    kindFilter: has(emulated, 'emulated'),
    updateIfMatch: has(emulated, 'emulated'),
    downloadUrl: has(/no `downloadUrl`/, 'unsupported'),
    changes: has(/no `changes`/, 'unsupported')
  })
})

t.test('the table of metrics in docs/operations.md matches the code', async (t) => {
  const registry = new Registry()
  await createMetrics(registry, [])
  const made = registry.getMetricsAsArray() as unknown as { name: string; type: string; labelNames: string[] }[]
  const lineOf = (name: string, type: string, labels: readonly string[]) => [name, type, ...labels].join(' ')
  const [, table = ''] = text('docs/operations.md').split('\n## Metrics\n')
  const rows = table
    .split('\n## ')[0]!
    .matchAll(/^\| `(cloud_storage_\w+)` \| (\w+) \| (none|`\w+`(?:, `\w+`)*) \| [^|]+ \| [^|]+ \|$/gm)
  t.same(
    [...rows]
      .map(([, name, type, labels]) =>
        lineOf(
          name!,
          type!,
          [...labels!.matchAll(/`(\w+)`/g)].map(([, of]) => of!)
        )
      )
      .sort(),
    made.map(({ name, type, labelNames }) => lineOf(name, type, labelNames)).sort()
  )
})

t.test('the spans in docs/operations.md match the code', async (t) => {
  const namesIn = (page: string): string[] =>
    [...page.matchAll(/[`'](cloud_storage\.\w+)[`']/g)].map(([, name]) => name!)
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => text(join('src', path)))
  const made = new Set(namesIn(sources.join('\n')))
  t.ok(made.has('cloud_storage.list_folder'))
  t.same([...new Set(namesIn(text('docs/operations.md')))].sort(), [...made].sort())
})

t.test('every command in the documentation exists', async (t) => {
  const scripts = Object.keys(packageJson.scripts)
  for (const page of PAGES) {
    const commands = [...text(page).matchAll(/\bnpm (?:run ([\w:-]+)|(start|test)\b)/g)]
    for (const [command, run, alone] of commands) t.ok(scripts.includes(run ?? alone!), `${page}: ${command}`)
  }
  const table = text('CONTRIBUTING.md')
  for (const script of scripts.filter(
    (name) => !['prepare', 'prepack', 'prestart', 'predemo', 'build', 'build:page'].includes(name)
  )) {
    t.ok(new RegExp(`^\\| \`npm (?:run )?${script}\``, 'm').test(table), `CONTRIBUTING.md explains ${script}`)
  }
})

t.test('the table of modules in CONTRIBUTING.md matches the import table', async (t) => {
  const namesIn = (cell = ''): string[] => [...cell.matchAll(/`([\w./]+)`/g)].map(([, name]) => name!).sort()
  // A sentence above the table grants these two to most modules.
  const others = (modules: readonly string[] = []): string[] =>
    modules.filter((module) => module !== 'src/errors.ts' && module !== 'src/core').sort()
  const stated = [...text('CONTRIBUTING.md').matchAll(/^\| `((?:src|web)\/[\w./]+)` \| [^|]+ \| ([^|]+) \|$/gm)]
    .filter(([, module]) => module !== 'src/core')
    .map(([, module, cell = '']) => {
      const [values, types] = cell.split('types of')
      return { module, values: namesIn(values), types: namesIn(types) }
    })
  const enforced = Object.entries(IMPORT_TABLE)
    .filter(([module]) => module !== 'src/core')
    .map(([module, { values, types }]) => ({ module, values: others(values), types: others(types) }))
  t.same(stated, enforced)
})

t.test('every service in an example of REQUIRE_SERVICES is required by a test', async (t) => {
  const tests = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => text(join('test', path)))
    .join('\n')
  const named = PAGES.flatMap((page) => [...text(page).matchAll(/REQUIRE_SERVICES=([\w,-]+)/g)])
  t.ok(named.length > 1)
  for (const service of new Set(named.flatMap(([, names]) => names!.split(',')))) {
    t.ok(tests.includes(`requireService(t, '${service}',`), service)
  }
})

t.test('every variable in docs/server.md is in .env.example', async (t) => {
  const [, server = ''] = text('docs/server.md').split('\n## Configuration\n')
  const variables = [...server.split('\n## ')[0]!.matchAll(/`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=\w+)?`/g)]
  t.ok(variables.length > 8)
  for (const [, name] of variables) t.match(text('.env.example'), new RegExp(`^#?${name!}=`, 'm'), name!)
})

t.test('every link inside of the repository leads to an existing file and heading', async (t) => {
  for (const page of PAGES) {
    for (const [, target] of proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue
      const [path = '', anchor] = target!.split('#', 2)
      const file = path === '' ? page : join(dirname(page), path)
      const there = t.ok(existsSync(join(ROOT, file)), `${page}: ${target!}`)
      if (there && anchor !== undefined) t.ok(anchorsOf(file).has(anchor), `${page}: the heading of ${target!}`)
    }
  }
})

t.test('every decision is in the index, and has a context, a decision and consequences', async (t) => {
  const records = PAGES.filter((page) => /^docs\/decisions\/\d/.test(page))
  const index = text('docs/decisions/README.md')
  for (const page of records) {
    const [heading = '', ...rest] = text(page).split('\n')
    const [, number, title] = /^# (\d+)\. (.+)$/.exec(heading) ?? []
    t.ok(page.startsWith(`docs/decisions/${number!.padStart(4, '0')}-`), page)
    t.match(index, `| ${number!} | [${title!}](${page.slice('docs/decisions/'.length)}) |`)
    t.match(
      rest.filter((line) => line.startsWith('#')).join(),
      /^## Context,## (Choice,## Price|Decision,## Consequences)$/,
      page
    )
  }
})

t.test('the TypeScript in the documentation compiles with our strict options', async (t) => {
  const blocks = PAGES.flatMap(blocksOf).filter(({ info }) => info === 'ts')
  t.ok(blocks.length > 1)
  const wrong: Block = {
    page: 'docs/errors.md',
    line: 1,
    info: 'ts',
    code: `import { defineProvider } from 'fastify-cloud-storage'\ndefineProvider({ id: 1 })\n`
  }
  const findings = compile([...blocks, wrong])
  t.match(findings.pop(), /^docs\/errors\.md:2 .*not assignable/s, 'a mistake is detected')
  t.same(findings, [])
})

/** Returns the compiler's diagnostics by page and line. Compiles all blocks as one program, without output. */
function compile(blocks: readonly Block[]): string[] {
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, ROOT)
  options.paths = {
    'fastify-cloud-storage': [join(ROOT, 'src/index.ts')],
    'fastify-cloud-storage/client': [join(ROOT, 'src/client/index.ts')],
    'fastify-cloud-storage/prisma': [join(ROOT, 'src/db/open-database.ts')]
  }
  // Next to their page, so that relative imports resolve.
  const files = new Map(
    blocks.map((block) => [
      join(ROOT, dirname(block.page), `block at ${block.page.replaceAll('/', ' ')} ${block.line}.ts`),
      block
    ])
  )
  const host = ts.createCompilerHost(options)
  const fileExists = host.fileExists.bind(host)
  const readFile = host.readFile.bind(host)
  host.fileExists = (path) => files.has(path) || fileExists(path)
  host.readFile = (path) => files.get(path)?.code ?? readFile(path)
  const program = ts.createProgram([...files.keys()], options, host)

  return [...files].flatMap(([path, { page, line }]) => {
    const source = program.getSourceFile(path)
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map((diagnostic) => {
      const { line: within } = ts.getLineAndCharacterOfPosition(source!, diagnostic.start ?? 0)
      return `${page}:${line + within} ${ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')}`
    })
  })
}
