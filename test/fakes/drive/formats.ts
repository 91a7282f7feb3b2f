import { DRIVE_DOCUMENT, DRIVE_PRESENTATION, DRIVE_SPREADSHEET, DRIVE_VIDEO } from './node.ts'

const OFFICE = 'application/vnd.openxmlformats-officedocument.'
const OPEN = 'application/vnd.oasis.opendocument.'
const DRAWING = 'application/vnd.google-apps.drawing'
const SCRIPT = 'application/vnd.google-apps.script'

/** Export formats of `files.export` for each native type. Forms, sites and maps have none. */
export const EXPORT_FORMATS: Record<string, string[]> = {
  [DRIVE_DOCUMENT]: [
    `${OFFICE}wordprocessingml.document`,
    `${OPEN}text`,
    'application/rtf',
    'application/pdf',
    'text/plain',
    'text/html',
    'application/zip',
    'application/epub+zip',
    'text/markdown'
  ],
  [DRIVE_SPREADSHEET]: [
    `${OFFICE}spreadsheetml.sheet`,
    'application/vnd.oasis.opendocument.spreadsheet',
    // The name in earlier documentation, still accepted.
    'application/x-vnd.oasis.opendocument.spreadsheet',
    'application/pdf',
    'application/zip',
    'text/csv',
    'text/tab-separated-values'
  ],
  [DRIVE_PRESENTATION]: [
    `${OFFICE}presentationml.presentation`,
    `${OPEN}presentation`,
    'application/pdf',
    'text/plain',
    'image/jpeg',
    'image/png',
    'image/svg+xml'
  ],
  [DRAWING]: ['application/pdf', 'image/jpeg', 'image/png', 'image/svg+xml'],
  [SCRIPT]: ['application/vnd.google-apps.script+json']
}

/** Formats that only `files.download` produces, as a long-running operation. */
export const RENDERED_FORMATS: Record<string, string[]> = { [DRIVE_VIDEO]: ['video/mp4'] }

export const IMPORT_FORMATS: Record<string, string[]> = {
  [`${OFFICE}wordprocessingml.document`]: [DRIVE_DOCUMENT],
  'text/plain': [DRIVE_DOCUMENT],
  'text/csv': [DRIVE_SPREADSHEET]
}
