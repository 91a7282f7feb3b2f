import t from 'tap'
import {
  Selection,
  targetFileId,
  normalizeForSearch,
  targetFolderId,
  isolated,
  isSelectable,
  parseAccept,
  downloadFileName,
  displayName,
  mediaTypeOf,
  withSafeLinks
} from '../../../web/picker/state/selection.ts'
import { entryOf, folderOf, S3 } from '../../support/picker/entries.ts'
import { formatContentDisposition } from '../../../src/core/entry.ts'
import { fileNameOf } from '../../../src/client/file-name.ts'
import { cellAfter, type GridShape } from '../../../web/picker/view/grid-input.ts'
import { isNearEnd, rangeOf, scrollTopFor } from '../../../web/picker/view/grid-rows.ts'
import { isHttpUrl } from '../../../web/picker/popup.ts'
import { PickerProblem } from '../../../web/picker/problem.ts'
import { bodyOf, fieldErrorsFrom, validateFields, defaultsOf, fieldsOf } from '../../../web/picker/view/form.ts'

const ENTRIES = ['a', 'b', 'c', 'd', 'e'].map((id) => entryOf(id))
const [A, B, C, D] = ENTRIES as [(typeof ENTRIES)[0], (typeof ENTRIES)[0], (typeof ENTRIES)[0], (typeof ENTRIES)[0]]

function createSelection(isMultiple: boolean): {
  selection: Selection
  ids: () => string[]
  changeCount: () => number
} {
  let count = 0
  const selection = new Selection(() => count++)
  selection.isMultiple = isMultiple
  return { selection, ids: () => selection.entries.map(({ id }) => id), changeCount: () => count }
}

t.test('a single selection replaces the previous one', async (t) => {
  const { selection, ids } = createSelection(false)
  selection.toggle(A)
  selection.toggle(B)
  t.same(ids(), ['b'])
  selection.extendTo('d', ENTRIES)
  t.same(ids(), ['d'])
  selection.toggleAll(ENTRIES)
  t.same(ids(), ['d'])
  selection.toggle(D)
  t.same(ids(), [])
})

t.test('a range starts at the last selected entry, in either direction', async (t) => {
  const { selection, ids } = createSelection(true)
  selection.toggle(C)
  selection.extendTo('e', ENTRIES)
  t.same(ids(), ['c', 'd', 'e'])
  selection.extendTo('a', ENTRIES)
  t.same(ids(), ['a', 'b', 'c'])
})

t.test('select all selects all entries, or none if all are selected', async (t) => {
  const { selection, ids } = createSelection(true)
  selection.toggleAll(ENTRIES)
  t.equal(ids().length, 5)
  selection.toggleAll(ENTRIES)
  t.same(ids(), [])
})

t.test('the host is notified of changes only', async (t) => {
  const { selection, changeCount } = createSelection(true)
  selection.retain(() => false)
  t.equal(changeCount(), 0)
  selection.replace(A)
  selection.replace(A)
  t.equal(changeCount(), 1)
  selection.retain(({ id }) => id !== 'a')
  t.equal(changeCount(), 2)
})

const shortcut = (kind: 'file' | 'folder', state: 'ok' | 'dangling' = 'ok') =>
  entryOf('s', { kind: 'shortcut', target: { id: 'behind', kind, mimeType: null, state } })

t.test('folders, drives and valid shortcuts can be opened', async (t) => {
  t.equal(targetFolderId(folderOf('a/')), 'a/')
  t.equal(targetFolderId(folderOf('d/', { kind: 'drive' })), 'd/')
  t.equal(targetFolderId(entryOf('a')), null)
  t.equal(targetFolderId(shortcut('folder')), 'behind')
  t.equal(targetFolderId(shortcut('folder', 'dangling')), null)
  t.equal(targetFolderId(folderOf('a/', { can: { list: false, download: null, write: null } })), null)
})

t.test('files and folders are distinguished, also behind shortcuts', async (t) => {
  const files = { kind: 'file', accept: [] } as const
  const folders = { kind: 'folder', accept: [] } as const
  t.ok(isSelectable(entryOf('a'), files))
  t.ok(isSelectable(shortcut('file'), files))
  t.notOk(isSelectable(shortcut('folder'), files))
  t.notOk(isSelectable(entryOf('l', { kind: 'link' }), files))
  t.ok(isSelectable(folderOf('a/', { kind: 'drive' }), folders))
  t.notOk(isSelectable(entryOf('a'), folders))
})

t.test('a type is taken from the provider, or else from the file name', async (t) => {
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

t.test('file extensions match their media types', async (t) => {
  const types = {
    'a.docx': 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'a.ODS': 'application/vnd.oasis.opendocument.spreadsheet',
    'a.xls': 'application/vnd.ms-excel',
    'a.tar.gz': 'application/gzip',
    'a.svg': 'image/svg+xml',
    'a.csv': 'text/csv'
  }
  for (const [name, type] of Object.entries(types)) t.equal(mediaTypeOf(entryOf(name)), type, name)
  t.equal(mediaTypeOf(entryOf('constructor')), null)
})

t.test('an entry without content cannot be downloaded', async (t) => {
  t.equal(targetFileId(entryOf('a')), 'a')
  t.equal(targetFileId(shortcut('file')), 'behind')
  t.equal(targetFileId(shortcut('file', 'dangling')), null)
  t.equal(targetFileId(folderOf('a/')), null)
  t.equal(targetFileId(entryOf('a', { can: { list: null, download: false, write: null } })), null)
})

t.test('a name cannot reverse the direction of its extension', async (t) => {
  t.equal(displayName('invoice\u202egpj.exe'), 'invoice\ufffdgpj.exe')
  t.equal(displayName('a\nb\u0000'), 'a\ufffdb\ufffd')
  t.equal(displayName('\u200fعربي'), '\u200fعربي')
  t.equal(displayName('<b>'), '<b>')
})

t.test('a name inside of a text is isolated from the text direction', async (t) => {
  t.equal(isolated('שלום.txt'), '\u2068שלום.txt\u2069')
  t.equal(isolated('a\u2069\u202eb'), '\u2068a\ufffd\ufffdb\u2069', 'it cannot end its own isolation')
})

t.test('a file is saved under its name, and an export with the extension of its format', async (t) => {
  const exportFormats = [
    { mimeType: 'application/x', extension: 'xlsx' },
    { mimeType: 'application/pdf', extension: 'pdf' }
  ]
  for (const [name, saved] of [
    ['Budget', 'Budget.xlsx'],
    ['Budget.xlsx', 'Budget.xlsx'],
    ['Budget.XLSX', 'Budget.XLSX'],
    ['notes.v2', 'notes.v2.xlsx'],
    ['report\u202exslx.exe', 'reportxslx.exe.xlsx'],
    ['Budget.xlsx\u200e', 'Budget.xlsx']
  ] as const) {
    t.equal(downloadFileName(entryOf('a', { name, exportFormats })), saved)
  }
  t.equal(downloadFileName(entryOf('a', { name: 'photo\u202egpj.exe' })), 'photogpj.exe')
})

t.test('the name of a download is taken from its response', async (t) => {
  const named = (value: string | null) => fileNameOf({ headers: { get: () => value } })
  for (const name of [
    'plain.txt',
    'a "b".txt',
    'Übersicht.xlsx',
    "it's (1).txt",
    '50%.txt',
    '; filename=x',
    'a;b.txt'
  ]) {
    t.equal(named(formatContentDisposition(name)), name)
  }
  t.equal(
    named(formatContentDisposition("x; filename*=UTF-8''evil.exe")),
    "x; filename*=UTF-8''evil.exe",
    'inside of the quotes'
  )
  t.equal(named("attachment; filename*=UTF-8''a%20b.txt"), 'a b.txt')
  t.equal(named('attachment; filename="a.txt"; filename*=UTF-8\'\'%E2%80%AEgnp.exe'), 'gnp.exe')
  t.equal(named('attachment; filename="a.txt"; filename*=UTF-8\'\'%ff'), 'a.txt', 'invalid UTF-8')
  for (const none of [null, '', 'attachment', 'attachment; filename=""', 'inline; other=1']) t.equal(named(none), null)
})

t.test('links that are unsafe in a page are dropped', async (t) => {
  const hostile = [
    ...['javascript:alert(1)', ' javascript:alert(1)', 'JAVASCRIPT:alert(1)', 'java\nscript:alert(1)'],
    ...[
      'data:text/html,<script>1</script>',
      'blob:https://app.example/1',
      'vbscript:1',
      'file:///etc/passwd',
      '//x',
      ''
    ]
  ]
  for (const url of hostile) {
    t.match(withSafeLinks(entryOf('a', { webUrl: url, thumbnailUrl: url })), { webUrl: null, thumbnailUrl: null }, url)
    t.equal(isHttpUrl(url), false)
  }
  const link = 'https://drive.example/a?b=c'
  t.match(withSafeLinks(entryOf('a', { webUrl: link, thumbnailUrl: 'http://nas.lan/t' })), {
    webUrl: link,
    thumbnailUrl: 'http://nas.lan/t'
  })
})

t.test('a search ignores case, accents and width', async (t) => {
  t.equal(normalizeForSearch('Ünïcode ＡＢＣ'), 'unicode abc')
})

const VIEWPORT = { top: 0, height: 400, rowHeight: 40 }
const SHAPE: GridShape = { rows: 100, columns: 4, pageRows: 8, isRtl: false }

t.test('only the visible rows and a few around them are rendered', async (t) => {
  t.same(rangeOf(VIEWPORT, 5000), { first: 0, end: 16 })
  t.same(rangeOf({ ...VIEWPORT, top: 4000 }, 5000), { first: 94, end: 116 })
  t.same(rangeOf({ ...VIEWPORT, top: 199_600 }, 5000), { first: 4984, end: 5000 })
  t.same(rangeOf({ ...VIEWPORT, top: 4000 }, 3), { first: 3, end: 3 })
  t.same(rangeOf(VIEWPORT, 0), { first: 0, end: 0 })
})

t.test('the next page is requested one screen in advance', async (t) => {
  t.equal(isNearEnd(VIEWPORT, 200), false)
  t.equal(isNearEnd({ ...VIEWPORT, top: 7200 }, 200), true)
  t.equal(isNearEnd(VIEWPORT, 3), true)
})

t.test('the table scrolls to a row only if it is not visible', async (t) => {
  t.equal(scrollTopFor(3, VIEWPORT, 40), 0)
  t.equal(scrollTopFor(9, VIEWPORT, 40), 40)
  t.equal(scrollTopFor(2, { ...VIEWPORT, top: 400 }, 40), 80)
})

t.test('keys move through the cells and stop at the edges', async (t) => {
  const at = { row: 5, column: 1 }
  const go = (key: string, isCtrl = false, shape = SHAPE) => cellAfter(key, isCtrl, at, shape)
  t.same(go('ArrowDown'), { row: 6, column: 1 })
  t.same(go('ArrowUp'), { row: 4, column: 1 })
  t.same(go('ArrowRight'), { row: 5, column: 2 })
  t.same(go('ArrowLeft'), { row: 5, column: 0 })
  t.same(go('ArrowRight', false, { ...SHAPE, isRtl: true }), { row: 5, column: 0 })
  t.same(go('PageDown'), { row: 13, column: 1 })
  t.same(go('PageUp'), { row: 0, column: 1 })
  t.same(go('Home'), { row: 5, column: 0 })
  t.same(go('End'), { row: 5, column: 3 })
  t.same(go('Home', true), { row: 0, column: 0 })
  t.same(go('End', true), { row: 99, column: 3 })
  t.equal(go('x'), null)
})

const SCHEMA = 'schema' in S3.connect ? S3.connect.schema : { properties: {} }
const FIELDS = fieldsOf(SCHEMA)
const VALID_VALUES = { endpoint: 'https://x', bucket: 'bucket', secretAccessKey: 'k', region: '', forcePathStyle: true }

t.test('fields come from the schema, required ones first, and secrets are masked', async (t) => {
  t.same(
    FIELDS.map(({ name, input, isRequired }) => [name, input, isRequired]),
    [
      ['endpoint', 'text', true],
      ['bucket', 'text', true],
      ['secretAccessKey', 'password', true],
      ['region', 'text', false],
      ['forcePathStyle', 'checkbox', false]
    ]
  )
  t.match(defaultsOf(FIELDS), { region: 'us-east-1', endpoint: '', forcePathStyle: true })
})

t.test('values that the server would refuse are reported before sending', async (t) => {
  t.same(validateFields(FIELDS, VALID_VALUES), {})
  t.same(validateFields(FIELDS, { ...VALID_VALUES, endpoint: '', bucket: 'X!' }), {
    endpoint: { key: 'fieldRequired' },
    bucket: { key: 'fieldPattern' }
  })
  const fields = fieldsOf({
    properties: {
      short: { type: 'string', minLength: 3 },
      long: { type: 'string', maxLength: 2 },
      port: { type: 'integer', minimum: 1, maximum: 9 }
    }
  })
  t.same(validateFields(fields, { short: 'ab', long: 'abc', port: '1.5' }), {
    short: { key: 'fieldShort', n: 3 },
    long: { key: 'fieldLong', n: 2 },
    port: { key: 'fieldNumber' }
  })
  t.same(validateFields(fields, { long: '😀😀', port: '0' }), { port: { key: 'fieldSmall', n: 1 } })
  t.same(validateFields(fields, { port: '10' }), { port: { key: 'fieldLarge', n: 9 } })
})

t.test('empty values are omitted, and numbers are sent as numbers', async (t) => {
  t.same(bodyOf(FIELDS, VALID_VALUES), {
    endpoint: 'https://x',
    bucket: 'bucket',
    secretAccessKey: 'k',
    forcePathStyle: true
  })
  const fields = fieldsOf({ properties: { port: { type: 'integer' }, mode: { enum: ['a', 2] } } })
  t.same(bodyOf(fields, { port: '21', mode: '2' }), { port: 21, mode: 2 })
})

t.test('an error of the server is shown at the field that it names', async (t) => {
  const named = (detail: string) => fieldErrorsFrom(new PickerProblem('INVALID_REQUEST', { detail }), FIELDS)
  t.same(named('body/bucket must match'), { bucket: { text: 'body/bucket must match' } })
  t.same(Object.keys(named('The field "endpoint" must be https.')), ['endpoint'])
  t.same(named('The field "nobody" is odd.'), {})
  t.same(fieldErrorsFrom(new PickerProblem('NETWORK'), FIELDS), {})
})
