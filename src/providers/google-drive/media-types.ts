import type { EntryKind, ExportFormat } from '../../domain/entry.ts'

const NATIVE = 'application/vnd.google-apps.'
/** Conversations, Gems and other Gemini items in Drive. They have no bytes and no documented export format. */
const GEMINI = 'application/vnd.google-gemini.'

export const FOLDER = `${NATIVE}folder`
export const SHORTCUT = `${NATIVE}shortcut`
/** Google Vids. Its export fails with `fileNotExportable`: Google renders a video as a long-running operation. */
const VIDEO = `${NATIVE}vid`

const OFFICE = 'application/vnd.openxmlformats-officedocument'
const PDF: ExportFormat = { mimeType: 'application/pdf', extension: 'pdf' }
const TEXT: ExportFormat = { mimeType: 'text/plain', extension: 'txt' }

const JPEG: ExportFormat = { mimeType: 'image/jpeg', extension: 'jpg' }
const PNG: ExportFormat = { mimeType: 'image/png', extension: 'png' }
const SVG: ExportFormat = { mimeType: 'image/svg+xml', extension: 'svg' }
/** A web page with its images. */
const ZIPPED_HTML: ExportFormat = { mimeType: 'application/zip', extension: 'zip' }

/**
 * The export formats of Google documents, the preferred one first (Google: "Export MIME types for Google Workspace
 * documents"). CSV and TSV contain the first sheet; images of a presentation contain its first slide. Google
 * documents no export format for forms, sites and maps.
 */
const EXPORTS: ReadonlyMap<string, readonly ExportFormat[]> = new Map([
  [
    `${NATIVE}document`,
    [
      { mimeType: `${OFFICE}.wordprocessingml.document`, extension: 'docx' },
      PDF,
      { mimeType: 'application/vnd.oasis.opendocument.text', extension: 'odt' },
      { mimeType: 'application/rtf', extension: 'rtf' },
      TEXT,
      { mimeType: 'text/html', extension: 'html' },
      ZIPPED_HTML,
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
      ZIPPED_HTML,
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
      TEXT,
      JPEG,
      PNG,
      SVG
    ]
  ],
  [`${NATIVE}drawing`, [PNG, PDF, SVG, JPEG]],
  [`${NATIVE}script`, [{ mimeType: 'application/vnd.google-apps.script+json', extension: 'json' }]],
  [VIDEO, [{ mimeType: 'video/mp4', extension: 'mp4' }]]
])

/** Returns whether a document is downloaded by `files.download` instead of `files.export`. */
export function isRendered(mimeType: string): boolean {
  return mimeType === VIDEO
}

export function exportFormatsOf(mimeType: string): readonly ExportFormat[] {
  return EXPORTS.get(mimeType) ?? []
}

/** Items with bytes or an export format are files. Other items (a form, a map) can be opened at Google only. */
export function kindOf(mimeType: string): EntryKind {
  if (mimeType === FOLDER) return 'folder'
  if (mimeType === SHORTCUT) return 'shortcut'
  return isNative(mimeType) && !EXPORTS.has(mimeType) ? 'link' : 'file'
}

/** Returns whether a type is Google's own. Such a file has no bytes and cannot be uploaded. */
export function isNative(mimeType: string): boolean {
  const type = mimeType.toLowerCase()
  return type.startsWith(NATIVE) || type.startsWith(GEMINI)
}
