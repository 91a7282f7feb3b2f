import { invalidRequest } from './failure.ts'

/** From Microsoft's page "Restrictions and limitations in OneDrive and SharePoint". */
const FORBIDDEN_CHARACTERS = /["*:<>?/\\|]/
const CONTROL_CHARACTERS = /[\x00-\x1f\x7f]/
const RESERVED = /^(?:con|prn|aux|nul|com\d|lpt\d|\.lock|desktop\.ini)$/i
const MAX_NAME = 255
const MAX_PATH = 400

const MIME_TYPES: Readonly<Record<string, string>> = {
  csv: 'text/csv',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  html: 'text/html',
  jpg: 'image/jpeg',
  json: 'application/json',
  mp4: 'video/mp4',
  pdf: 'application/pdf',
  png: 'image/png',
  txt: 'text/plain',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  zip: 'application/zip'
}

/** Names with the same key are the same within a folder. */
export const nameKey = (name: string) => name.toLowerCase()

/** Rejects invalid names. `folders` are the names of the parents. */
export function checkName(name: string, folders: readonly string[] = []): void {
  const isForbidden =
    name === '' ||
    FORBIDDEN_CHARACTERS.test(name) ||
    CONTROL_CHARACTERS.test(name) ||
    RESERVED.test(name) ||
    name !== name.trim() ||
    name.endsWith('.') ||
    name.startsWith('~$') ||
    name.toLowerCase().includes('_vti_')
  if (isForbidden) throw invalidRequest('The provided name cannot contain this, or be this.')
  const isLong = name.length > MAX_NAME || [...folders, name].join('/').length > MAX_PATH
  if (isLong) throw invalidRequest('The provided name or path is too long.')
}

/** Returns the first free name: `report 1.txt` after `report.txt`, and so on. */
export function unusedName(name: string, isTaken: (name: string) => boolean): string {
  const dot = name.lastIndexOf('.')
  const [base, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, '']
  for (let count = 1; ; count++) {
    const renamed = `${base} ${count}${extension}`
    if (!isTaken(renamed)) return renamed
  }
}

/** OneDrive uses the extension, regardless of the upload's content type. */
export function mimeTypeOf(name: string): string {
  const [, extension = ''] = /\.([^.]+)$/.exec(name) ?? []
  return MIME_TYPES[extension.toLowerCase()] ?? 'application/octet-stream'
}
