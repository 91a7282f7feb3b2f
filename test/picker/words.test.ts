import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { STORAGE_ERROR_CODES } from '../../src/domain/errors.ts'
import { formatFor, sayProblem } from '../../src/picker/format.ts'
import { PickerProblem, readProblem } from '../../src/picker/problem.ts'
import { ENGLISH, isStringKey, translator } from '../../src/picker/strings.ts'

const t1 = translator({}, 'en')

t.test('numbers decide the form of a text', async (t) => {
  t.equal(t1('entries', { n: 1 }), '1 entry')
  t.equal(t1('entries', { n: 5000 }), '5,000 entries')
})

t.test('a host replaces what it likes, with the forms of its language', async (t) => {
  const polish = translator({ entries: '{n} elementów', entries_few: '{n} elementy', entries_one: '{n} element' }, 'pl')
  t.equal(polish('entries', { n: 1 }), '1 element')
  t.equal(polish('entries', { n: 3 }), '3 elementy')
  t.equal(polish('entries', { n: 5 }), '5 elementów')
  t.equal(polish('upload'), 'Upload')
  t.equal(translator({ entries: '{n}件' }, 'ja')('entries', { n: 1 }), '1件')
  t.equal(translator({ entries: '{n} Einträge' }, 'de')('entries', { n: 1 }), '1 Einträge', 'and never half English')
})

t.test('what is filled in is not filled in again', async (t) => {
  t.equal(t1('download', { name: '{n} $& {name}' }), 'Download {n} $& {name}')
})

t.test('every failure has words', async (t) => {
  for (const code of STORAGE_ERROR_CODES) {
    t.not(sayProblem(new PickerProblem(code, { detail: 'why' }), t1), '', code)
  }
  t.equal(sayProblem(new PickerProblem('HTTP_418'), t1), 'Something went wrong (HTTP_418).')
  const foreign = readProblem(401, { get: () => null }, '{"code":"FST_JWT_EXPIRED"}')
  t.equal(sayProblem(foreign, t1), ENGLISH.error_UNAUTHENTICATED)
})

t.test('each text of the table is said somewhere', async (t) => {
  const folder = new URL('../../src/picker/', import.meta.url)
  const source = readdirSync(folder)
    .filter((name) => name.endsWith('.ts') && name !== 'strings.ts')
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n')
  const built = /^(?:error|kind|status|reason)_|_one$/
  for (const key of Object.keys(ENGLISH)) if (!built.test(key)) t.match(source, `'${key}'`, key)
  t.notOk(isStringKey('constructor'))
})

t.test('sizes and waits are short', async (t) => {
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

t.test('an answer that is no problem of ours is read by its status', async (t) => {
  const headers = (values: Record<string, string>) => ({ get: (name: string) => values[name] ?? null })
  t.equal(readProblem(502, headers({}), '<html>').code, 'PROVIDER_UNAVAILABLE')
  t.equal(readProblem(413, headers({}), '').code, 'PAYLOAD_TOO_LARGE')
  t.equal(readProblem(418, headers({}), 'null').code, 'HTTP_418')
  t.equal(readProblem(429, headers({ 'retry-after': '7' }), '{}').retryAfterMs, 7000)
  const dated = { date: 'Fri, 27 Nov 2026 10:00:00 GMT', 'retry-after': 'Fri, 27 Nov 2026 10:00:30 GMT' }
  t.equal(readProblem(503, headers(dated), '{}').retryAfterMs, 30_000)
  t.equal(readProblem(503, headers({ 'retry-after': 'soon' }), '{}').retryAfterMs, null)
})
