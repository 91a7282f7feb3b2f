import t from 'tap'
import {
  folded,
  folderBehind,
  fileBehind,
  isSelectable,
  parseAccept,
  shownName,
  typeOf
} from '../../src/picker/entry-rules.ts'
import { entryOf, folderOf } from '../support/picker-entries.ts'

const shortcut = (kind: 'file' | 'folder', state: 'ok' | 'dangling' = 'ok') =>
  entryOf('s', { kind: 'shortcut', target: { id: 'behind', kind, mimeType: null, state } })

t.test('what can be looked into', async (t) => {
  t.equal(folderBehind(folderOf('a/')), 'a/')
  t.equal(folderBehind(folderOf('d/', { kind: 'drive' })), 'd/')
  t.equal(folderBehind(entryOf('a')), null)
  t.equal(folderBehind(shortcut('folder')), 'behind')
  t.equal(folderBehind(shortcut('folder', 'dangling')), null)
  t.equal(folderBehind(folderOf('a/', { can: { list: false, download: null, write: null } })), null)
})

t.test('files and folders are told apart, behind shortcuts too', async (t) => {
  const files = { kind: 'file', accept: [] } as const
  const folders = { kind: 'folder', accept: [] } as const
  t.ok(isSelectable(entryOf('a'), files))
  t.ok(isSelectable(shortcut('file'), files))
  t.notOk(isSelectable(shortcut('folder'), files))
  t.notOk(isSelectable(entryOf('l', { kind: 'link' }), files))
  t.ok(isSelectable(folderOf('a/', { kind: 'drive' }), folders))
  t.notOk(isSelectable(entryOf('a'), folders))
})

t.test('types are asked of the provider, and of the name where it says none', async (t) => {
  const images = { kind: 'file', accept: parseAccept('image/*, .PDF,') } as const
  t.same(images.accept, ['image/*', '.pdf'])
  t.ok(isSelectable(entryOf('a', { mimeType: 'Image/PNG; q=1' }), images))
  t.ok(isSelectable(entryOf('a.jpeg'), images))
  t.ok(isSelectable(entryOf('a.pdf'), images))
  t.notOk(isSelectable(entryOf('a.txt'), images))
  t.notOk(isSelectable(entryOf('a.png', { mimeType: 'text/plain' }), images))
  t.notOk(isSelectable(entryOf('unknown'), images))
  t.ok(isSelectable(folderOf('a/'), { kind: null, accept: ['image/*'] }))
})

t.test('endings stand for their types', async (t) => {
  const types = {
    'a.docx': 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'a.ODS': 'application/vnd.oasis.opendocument.spreadsheet',
    'a.xls': 'application/vnd.ms-excel',
    'a.tar.gz': 'application/gzip',
    'a.svg': 'image/svg+xml',
    'a.csv': 'text/csv'
  }
  for (const [name, type] of Object.entries(types)) t.equal(typeOf(entryOf(name)), type, name)
  t.equal(typeOf(entryOf('constructor')), null)
})

t.test('what has no bytes is not downloaded', async (t) => {
  t.equal(fileBehind(entryOf('a')), 'a')
  t.equal(fileBehind(shortcut('file')), 'behind')
  t.equal(fileBehind(shortcut('file', 'dangling')), null)
  t.equal(fileBehind(folderOf('a/')), null)
  t.equal(fileBehind(entryOf('a', { can: { list: null, download: false, write: null } })), null)
})

t.test('a name cannot turn around what it ends with', async (t) => {
  t.equal(shownName('invoice\u202egpj.exe'), 'invoice\ufffdgpj.exe')
  t.equal(shownName('a\nb\u0000'), 'a\ufffdb\ufffd')
  t.equal(shownName('\u200fعربي'), '\u200fعربي')
  t.equal(shownName('<b>'), '<b>')
})

t.test('a search is without case, accents and width', async (t) => {
  t.equal(folded('Ünïcode ＡＢＣ'), 'unicode abc')
})
