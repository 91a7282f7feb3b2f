import { createHash } from 'node:crypto'
import { inflateSync } from 'node:zlib'
import t from 'tap'
import { fillDav } from '../../demo/content/dav.ts'
import { fillDrive, idOf } from '../../demo/content/drive.ts'
import { NATIVE_EXPORTS } from '../../demo/content/drive-documents.ts'
import { HARD_NAMES, MARKUP_NAME } from '../../demo/content/names.ts'
import { onePagePdf } from '../../demo/content/pdf.ts'
import { fadingPng } from '../../demo/content/png.ts'
import { storedZip } from '../../demo/content/zip.ts'
import { FakeTree } from '../fakes/dav/tree.ts'
import { FakeDriveTree } from '../fakes/drive/tree.ts'

function driveDigest(): { digest: string; nodes: number } {
  const tree = new FakeDriveTree(() => new Date(0))
  fillDrive(tree)
  const facts = [...tree.nodes()]
    .filter(({ isRoot }) => !isRoot)
    .map((node) => [node.id, node.name, node.md5, node.modified, node.parent === tree.root.id ? 'root' : node.parent])
  return { digest: createHash('sha256').update(JSON.stringify(facts)).digest('hex'), nodes: facts.length }
}

t.test('Drive is seeded with thousands of entries, identically each time', async (t) => {
  const { digest, nodes } = driveDigest()
  t.ok(nodes > 5700, String(nodes))
  t.same(driveDigest(), { digest, nodes })
})

t.test('WebDAV is seeded identically each time, with names that file systems accept', async (t) => {
  const trees = [new FakeTree(), new FakeTree()] as const
  trees.forEach(fillDav)
  t.ok(trees[0].list().length > 700)
  t.same(trees[0].list(), trees[1].list())
  for (const path of trees[0].paths()) {
    const name = path.split('/').at(-1) ?? ''
    t.ok(Buffer.byteLength(name) <= 255 && !name.includes('\0'), name)
  }
})

t.test('there are many difficult names, one of them with markup', async (t) => {
  t.equal(new Set(HARD_NAMES).size, HARD_NAMES.length)
  t.ok(HARD_NAMES.includes(MARKUP_NAME))
  t.ok(HARD_NAMES.some((name) => Buffer.byteLength(name) === 255))
  t.ok(HARD_NAMES.some((name) => name !== name.normalize('NFC')))
})

t.test('an id is derived from the whole path', async (t) => {
  t.not(idOf('a', 'b'), idOf('a/b'))
  t.not(idOf('a', 'b'), idOf('ab'))
  t.match(idOf('a'), /^1[\w-]{32}$/)
})

t.test('the picture has the expected size and pixels', async (t) => {
  const png = fadingPng(30, 20)
  t.equal(png.toString('latin1', 1, 4), 'PNG')
  t.equal(png.readUInt32BE(16), 30)
  t.equal(png.readUInt32BE(20), 20)
  const at = png.indexOf('IDAT')
  const pixels = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)))
  t.equal(pixels.length, 20 * (1 + 3 * 30))
  t.equal(png.toString('latin1', png.length - 8, png.length - 4), 'IEND')
})

t.test('each object of the PDF is at the offset in its table', async (t) => {
  const pdf = onePagePdf(['One (1)', 'Two \\']).toString('latin1')
  const startsAt = Number(/startxref\n(\d+)\n%%EOF\n$/.exec(pdf)?.[1])
  t.ok(pdf.slice(startsAt).startsWith('xref\n0 6\n'))
  const offsets = [...pdf.slice(startsAt).matchAll(/^(\d{10}) 00000 n $/gm)].map(([, offset]) => Number(offset))
  t.equal(offsets.length, 5)
  offsets.forEach((offset, index) => t.ok(pdf.slice(offset).startsWith(`${index + 1} 0 obj\n`), String(index)))
  const [, length, stream = ''] = /<< \/Length (\d+) >>\nstream\n(.*)\nendstream/s.exec(pdf) ?? []
  t.equal(stream.length, Number(length))
  t.match(stream, '(One \\(1\\)) Tj')
})

t.test('a zip can be read with its directory', async (t) => {
  const zip = storedZip({ 'a.txt': 'First', 'folder/ü.txt': 'Second' })
  const end = zip.length - 22
  t.equal(zip.readUInt32LE(end), 0x06054b50)
  t.equal(zip.readUInt16LE(end + 10), 2)
  let at = zip.readUInt32LE(end + 16)
  const found: string[] = []
  while (at < end) {
    t.equal(zip.readUInt32LE(at), 0x02014b50)
    const size = zip.readUInt32LE(at + 24)
    const nameLength = zip.readUInt16LE(at + 28)
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength)
    const local = zip.readUInt32LE(at + 42)
    t.equal(zip.readUInt32LE(local), 0x04034b50)
    const begins = local + 30 + zip.readUInt16LE(local + 26)
    found.push(`${name}: ${zip.toString('utf8', begins, begins + size)}`)
    at += 46 + nameLength
  }
  t.same(found, ['a.txt: First', 'folder/ü.txt: Second'])
})

t.test('every native type can be exported to its best format and to PDF', async (t) => {
  for (const [type, formats] of Object.entries(NATIVE_EXPORTS)) {
    const [best = ''] = Object.keys(formats)
    t.match(best, /openxmlformats/, type)
    t.equal(formats[best]?.toString('latin1', 0, 2), 'PK')
    t.equal(formats['application/pdf']?.toString('latin1', 0, 5), '%PDF-')
  }
})
