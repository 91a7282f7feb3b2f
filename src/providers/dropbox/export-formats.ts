import type { ExportFormat } from '../../domain/entry.ts'
import { asObject } from '../shared/read-json.ts'

/** A format, with Dropbox's name for it. */
export interface DropboxFormat extends ExportFormat {
  readonly name: string
  /** Whether it is the default format. Its name is not necessarily a valid `export_format`. */
  readonly isDefault: boolean
}

const OFFICE = 'application/vnd.openxmlformats-officedocument'

/** Dropbox documents neither media types nor a list of formats: these were seen with Paper and Google documents. */
const FORMATS: ReadonlyMap<string, ExportFormat> = new Map([
  ['html', { mimeType: 'text/html', extension: 'html' }],
  ['markdown', { mimeType: 'text/markdown', extension: 'md' }],
  ['plain_text', { mimeType: 'text/plain', extension: 'txt' }],
  ['docx', { mimeType: `${OFFICE}.wordprocessingml.document`, extension: 'docx' }],
  ['xlsx', { mimeType: `${OFFICE}.spreadsheetml.sheet`, extension: 'xlsx' }],
  ['pptx', { mimeType: `${OFFICE}.presentationml.presentation`, extension: 'pptx' }],
  ['pdf', { mimeType: 'application/pdf', extension: 'pdf' }],
  ['csv', { mimeType: 'text/csv', extension: 'csv' }]
])

/** Returns the export formats of a document, Dropbox's default first. Omits unknown formats. */
export function formatsOf(exportInfo: unknown): readonly DropboxFormat[] {
  const { export_as: first, export_options: options } = asObject(exportInfo)
  const names = new Set<unknown>([first, ...(Array.isArray(options) ? (options as unknown[]) : [])])
  return [...names].flatMap((name) => {
    const format = typeof name === 'string' ? FORMATS.get(name) : undefined
    return format === undefined || typeof name !== 'string' ? [] : [{ ...format, name, isDefault: name === first }]
  })
}
