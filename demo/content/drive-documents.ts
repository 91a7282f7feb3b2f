import {
  DRIVE_DOCUMENT,
  DRIVE_FORM,
  DRIVE_PRESENTATION,
  DRIVE_SPREADSHEET,
  type NodeSeed
} from '../../test/fakes/drive/node.ts'
import type { FakeDriveTree } from '../../test/fakes/drive/tree.ts'
import { docx, xlsx } from './office.ts'
import { onePagePdf } from './pdf.ts'
import { fadingPng } from './png.ts'
import { pptx } from './slides.ts'

type SeedFactory = (...path: readonly string[]) => NodeSeed & { readonly id: string }

const OFFICE = 'application/vnd.openxmlformats-officedocument.'
const PDF = 'application/pdf'
const LINES = ['A document of Google’s own', 'It has no bytes: what you download is an export.']
const ROWS = [
  ['Month', 'Euros'],
  ['January', '120'],
  ['February', '135']
]
const ASCII_LINES = ["A document of Google's own", 'It has no bytes: what you download is an export.']

/** The export formats of each native type. Others are rejected, as by Google. */
export const NATIVE_EXPORTS: Readonly<Record<string, Readonly<Record<string, Buffer>>>> = {
  [DRIVE_DOCUMENT]: {
    [`${OFFICE}wordprocessingml.document`]: docx(LINES),
    [PDF]: onePagePdf(ASCII_LINES),
    'text/plain': Buffer.from(`${LINES.join('\n')}\n`),
    'text/markdown': Buffer.from(`# ${LINES.join('\n\n')}\n`)
  },
  [DRIVE_SPREADSHEET]: {
    [`${OFFICE}spreadsheetml.sheet`]: xlsx(ROWS),
    [PDF]: onePagePdf(ROWS.map((row) => row.join(': '))),
    'text/csv': Buffer.from(delimitedRows(',')),
    'text/tab-separated-values': Buffer.from(delimitedRows('\t'))
  },
  [DRIVE_PRESENTATION]: {
    [`${OFFICE}presentationml.presentation`]: pptx(LINES),
    [PDF]: onePagePdf(ASCII_LINES),
    'text/plain': Buffer.from(`${LINES.join('\n')}\n`),
    'image/png': fadingPng(640, 480)
  }
}

/** Adds native Google documents, and shortcuts. */
export function fillDocuments(tree: FakeDriveTree, seed: SeedFactory): void {
  tree.addFolder(seed('Documents'))
  for (const [name, mimeType] of [
    ['Minutes of the meeting', DRIVE_DOCUMENT],
    ['Budget', DRIVE_SPREADSHEET],
    ['Pitch', DRIVE_PRESENTATION]
  ] as const) {
    tree.addDocument({ ...seed('Documents', name), mimeType, exports: NATIVE_EXPORTS[mimeType] ?? {} })
  }
  // A form can only be opened at Google.
  tree.addDocument({ ...seed('Documents', 'Survey'), mimeType: DRIVE_FORM })

  tree.addFolder(seed('Shortcuts'))
  for (const [name, target] of [
    ['To Welcome.txt', seed('Welcome.txt').id],
    ['To the folder Deep', seed('Deep').id],
    ['To Budget', seed('Documents', 'Budget').id],
    ['To something that is gone', seed('Gone').id]
  ] as const) {
    tree.addShortcut({ ...seed('Shortcuts', name), target })
  }
}

function delimitedRows(separator: string): string {
  return ROWS.map((row) => `${row.join(separator)}\r\n`).join('')
}
