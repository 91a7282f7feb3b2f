import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { buildPicker, MAX_GZIPPED } from '../../scripts/build-picker.mjs'

t.test('the picker is one file, and small', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'picker-'))
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const gzipped = await buildPicker(folder)
  t.comment(`${gzipped} bytes gzipped`)
  t.ok(gzipped <= MAX_GZIPPED)
  const code = readFileSync(join(folder, 'cloud-folder-picker.js'), 'utf8')
  t.notMatch(code, /\bimport\s*[({"'*]|\bfrom\s*["']/, 'it loads nothing else')
  t.notMatch(code, /\beval\(|new Function|innerHTML\s*=\s*[^=]{0,40}(?:name|label)/, 'and makes no code of texts')
  t.match(readFileSync(join(folder, 'cloud-folder-picker.js.LEGAL.txt'), 'utf8'), /Redistribution and use/)
})
