import type { EntryKind, ExportFormat } from '../../domain/entry.ts'

const NATIVE = 'application/vnd.google-apps.'

export const FOLDER = `${NATIVE}folder`
export const SHORTCUT = `${NATIVE}shortcut`

const OFFICE = 'application/vnd.openxmlformats-officedocument'
const PDF: ExportFormat = { mimeType: 'application/pdf', extension: 'pdf' }
const TEXT: ExportFormat = { mimeType: 'text/plain', extension: 'txt' }

/** What Google's own documents can be had as, the best first ("Export MIME types for Google Workspace documents"). */
const EXPORTS: ReadonlyMap<string, readonly ExportFormat[]> = new Map([
  [
    `${NATIVE}document`,
    [
      { mimeType: `${OFFICE}.wordprocessingml.document`, extension: 'docx' },
      PDF,
      { mimeType: 'application/vnd.oasis.opendocument.text', extension: 'odt' },
      { mimeType: 'application/rtf', extension: 'rtf' },
      TEXT,
      { mimeType: 'application/zip', extension: 'zip' },
      { mimeType: 'application/epub+zip', extension: 'epub' },
      { mimeType: 'text/markdown', extension: 'md' }
    ]
  ],
  [
    `${NATIVE}spreadsheet`,
    [
      { mimeType: `${OFFICE}.spreadsheetml.sheet`, extension: 'xlsx' },
      PDF,
      { mimeType: 'application/vnd.oasis.opendocument.spreadsheet', extension: 'ods' },
      { mimeType: 'text/csv', extension: 'csv' },
      { mimeType: 'text/tab-separated-values', extension: 'tsv' }
    ]
  ],
  [
    `${NATIVE}presentation`,
    [
      { mimeType: `${OFFICE}.presentationml.presentation`, extension: 'pptx' },
      PDF,
      { mimeType: 'application/vnd.oasis.opendocument.presentation', extension: 'odp' },
      TEXT
    ]
  ],
  [
    `${NATIVE}drawing`,
    [
      { mimeType: 'image/png', extension: 'png' },
      PDF,
      { mimeType: 'image/svg+xml', extension: 'svg' },
      { mimeType: 'image/jpeg', extension: 'jpg' }
    ]
  ],
  [`${NATIVE}script`, [{ mimeType: 'application/vnd.google-apps.script+json', extension: 'json' }]]
])

export function exportFormatsOf(mimeType: string): readonly ExportFormat[] {
  return EXPORTS.get(mimeType) ?? []
}

/** What has bytes of its own, or can be made to have some, is a file; a form, a site or a map is seen at Google alone. */
export function kindOf(mimeType: string): EntryKind {
  if (mimeType === FOLDER) return 'folder'
  if (mimeType === SHORTCUT) return 'shortcut'
  return isNative(mimeType) && !EXPORTS.has(mimeType) ? 'link' : 'file'
}

/** Whether a type is Google's own: nobody can upload it. */
export function isNative(mimeType: string): boolean {
  return mimeType.toLowerCase().startsWith(NATIVE)
}
