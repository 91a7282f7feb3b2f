import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { DEFAULTS, PROPERTIES } from '../../src/picker/element-properties.ts'

const page = readFileSync(new URL('../../docs/picker.md', import.meta.url), 'utf8')
const folder = new URL('../../src/picker/', import.meta.url)
const source = readdirSync(folder)
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(new URL(name, folder), 'utf8'))
  .join('\n')

t.test('docs/picker.md has every attribute and property, and its default', async (t) => {
  const rows = [...page.matchAll(/^\| (none|`[\w-]+`) \| (none|`\w+`) \| (\S+) \|/gm)]
  const stated = rows.filter(([, , property]) => property !== 'none')
  t.same(stated.map(([, , property]) => property!.slice(1, -1)).sort(), Object.keys(PROPERTIES).sort())
  for (const [, attribute, property, told] of stated) {
    const name = property!.slice(1, -1) as keyof typeof DEFAULTS
    const declared = PROPERTIES[name]?.attribute
    t.equal(attribute, declared === false ? 'none' : `\`${String(declared ?? name)}\``, name)
    t.equal(told, sayDefault(DEFAULTS[name]), name)
  }
})

t.test('docs/picker.md has every custom property and part', async (t) => {
  const names = (text: string, pattern: RegExp): string[] => [
    ...new Set([...text.matchAll(pattern)].map(([, name]) => name!))
  ]
  const table = page.split('| custom property |')[1]!.split('\n\n')[0]!
  t.same(names(table, /`--cloud-picker-([\w-]+)`/g).sort(), names(source, /var\(--cloud-picker-([\w-]+)/g).sort())
  const parts = /^Parts: ([^.]+)\./m.exec(page)?.[1] ?? ''
  t.same(names(parts, /`(\w+)`/g).sort(), names(source, /(?:part="|'part', ')(\w+)/g).sort())
})

function sayDefault(value: unknown): string {
  if (value === null || value === '') return 'none'
  return value === false ? 'off' : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}
