import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { DEFAULTS, PROPERTIES } from '../../../web/picker/element.ts'
import { buildPicker, MAX_GZIPPED } from '../../../scripts/build-picker.mjs'
import { STORAGE_ERROR_CODES } from '../../../src/errors.ts'
import { PickerProblem, readProblem } from '../../../web/picker/problem.ts'
import { ENGLISH, formatFor, isStringKey, problemText, translator } from '../../../web/picker/strings.ts'

const docs = readFileSync(new URL('../../../docs/picker.md', import.meta.url), 'utf8')
const folder = new URL('../../../web/picker/', import.meta.url)
const pickerSource = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(new URL(name, folder), 'utf8'))
  .join('\n')

t.test('docs/picker.md has every attribute and property with its default', async (t) => {
  const rows = [...docs.matchAll(/^\| (none|`[\w-]+`) \| (none|`\w+`) \| (\S+) \|/gm)]
  const stated = rows.filter(([, , property]) => property !== 'none')
  t.same(stated.map(([, , property]) => property!.slice(1, -1)).sort(), Object.keys(PROPERTIES).sort())
  for (const [, attribute, property, told] of stated) {
    const name = property!.slice(1, -1) as keyof typeof DEFAULTS
    const declared = PROPERTIES[name]?.attribute
    t.equal(attribute, declared === false ? 'none' : `\`${String(declared ?? name)}\``, name)
    t.equal(told, formatDefault(DEFAULTS[name]), name)
  }
})

t.test('docs/picker.md has every custom property and part', async (t) => {
  const names = (text: string, pattern: RegExp): string[] => [
    ...new Set([...text.matchAll(pattern)].map(([, name]) => name!))
  ]
  const table = docs.split('| custom property |')[1]!.split('\n\n')[0]!
  t.same(names(table, /`--cloud-picker-([\w-]+)`/g).sort(), names(pickerSource, /var\(--cloud-picker-([\w-]+)/g).sort())
  const parts = /^Parts: ([^.]+)\./m.exec(docs)?.[1] ?? ''
  t.same(names(parts, /`(\w+)`/g).sort(), names(pickerSource, /(?:part="|'part', ')(\w+)/g).sort())
})

function formatDefault(value: unknown): string {
  if (value === null || value === '') return 'none'
  return value === false ? 'off' : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

t.test('the picker is a single small file', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'picker-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const gzipped = await buildPicker(folder)
  t.comment(`${gzipped} bytes gzipped`)
  t.ok(gzipped <= MAX_GZIPPED)
  const code = readFileSync(join(folder, 'cloud-folder-picker.js'), 'utf8')
  t.notMatch(code, /\bimport\s*[({"'*]|\bfrom\s*["']/, 'it has no imports')
  t.notMatch(code, /\beval\(|new Function|innerHTML\s*=\s*[^=]{0,40}(?:name|label)/, 'it evaluates no text as code')
  t.match(readFileSync(join(folder, 'cloud-folder-picker.js.LEGAL.txt'), 'utf8'), /Redistribution and use/)
})

const t1 = translator({}, 'en')

t.test('numbers select the plural form of a text', async (t) => {
  t.equal(t1('entries', { n: 1 }), '1 item')
  t.equal(t1('entries', { n: 5000 }), '5,000 items')
})

t.test('a host replaces single texts, with the plural forms of its language', async (t) => {
  const polish = translator({ entries: '{n} elementów', entries_few: '{n} elementy', entries_one: '{n} element' }, 'pl')
  t.equal(polish('entries', { n: 1 }), '1 element')
  t.equal(polish('entries', { n: 3 }), '3 elementy')
  t.equal(polish('entries', { n: 5 }), '5 elementów')
  t.equal(polish('upload'), 'Upload')
  t.equal(translator({ entries: '{n}件' }, 'ja')('entries', { n: 1 }), '1件')
  t.equal(translator({ entries: '{n} Einträge' }, 'de')('entries', { n: 1 }), '1 Einträge', 'and no English one')
})

t.test('inserted values are not interpolated again', async (t) => {
  t.equal(t1('download', { name: '{n} $& {name}' }), 'Download {n} $& {name}')
})

t.test('every code of the catalogue and of the picker has its own text', async (t) => {
  const declared = /export type LocalCode =([^\n]+)/.exec(pickerSource)?.[1] ?? ''
  const local = [...declared.matchAll(/'(\w+)'/g)].map(([, code]) => code!)
  t.ok(local.includes('NETWORK'))
  // Its text has the key `noFolders`.
  local.splice(local.indexOf('NO_FOLDERS'), 1)
  const keys = [...STORAGE_ERROR_CODES, ...local].map((code) => `error_${code}`)
  t.same(
    Object.keys(ENGLISH)
      .filter((key) => key.startsWith('error_'))
      .sort(),
    [...keys].sort(),
    'no other code has a text'
  )
  for (const code of [...STORAGE_ERROR_CODES, ...local]) {
    const text = problemText(new PickerProblem(code, { detail: 'The reason.' }), t1)
    t.match(text, /^[A-Z].*[.?]$/, code)
    t.notMatch(text, /[A-Z]{2}|_|\{|Something went wrong \(/, `${code} is not shown to users`)
  }
  t.equal(problemText(new PickerProblem('HTTP_418'), t1), 'Something went wrong (HTTP_418).')
  const foreign = readProblem(401, { get: () => null }, '{"code":"FST_JWT_EXPIRED"}')
  t.equal(problemText(foreign, t1), ENGLISH.error_UNAUTHENTICATED)
})

t.test('each text is used in the sources', async (t) => {
  const built = /^(?:error|kind|status|reason)_|_one$/
  for (const key of Object.keys(ENGLISH)) if (!built.test(key)) t.match(pickerSource, `'${key}'`, key)
  t.notOk(isStringKey('constructor'))
})

t.test('sizes and durations have a short form', async (t) => {
  const format = formatFor('en')
  t.equal(format.size(0), '0 bytes')
  t.equal(format.size(999), '999 bytes')
  t.equal(format.size(1), '1 byte')
  t.equal(format.size(48_213), '48 kB')
  t.equal(format.size(1_500_000), '1.5 MB')
  t.equal(format.size(null), '')
  t.equal(format.duration(12), '12 sec')
  t.equal(format.duration(300), '5 min')
  t.equal(format.moment('no time'), '')
  t.match(format.moment('2026-11-02T08:30:00.000Z'), /2026/)
})

t.test('a response that is not a problem document is interpreted by its status', async (t) => {
  const headers = (values: Record<string, string>) => ({ get: (name: string) => values[name] ?? null })
  t.equal(readProblem(502, headers({}), '<html>').code, 'PROVIDER_UNAVAILABLE')
  t.equal(readProblem(413, headers({}), '').code, 'PAYLOAD_TOO_LARGE')
  t.equal(readProblem(418, headers({}), 'null').code, 'HTTP_418')
  t.equal(readProblem(429, headers({ 'retry-after': '7' }), '{}').retryAfterMs, 7000)
  const dated = { date: 'Fri, 27 Nov 2026 10:00:00 GMT', 'retry-after': 'Fri, 27 Nov 2026 10:00:30 GMT' }
  t.equal(readProblem(503, headers(dated), '{}').retryAfterMs, 30_000)
  t.equal(readProblem(503, headers({ 'retry-after': 'soon' }), '{}').retryAfterMs, null)
})
