import type { ExportFormat } from '../../domain/entry.ts'
import { asObject } from '../shared/read-json.ts'

/** A format, and what Dropbox calls it. */
export interface DropboxFormat extends ExportFormat {
  readonly name: string
  /** Whether the document comes in it when none is named: such a name is no option by itself. */
  readonly isDefault: boolean
}

const OFFICE = 'application/vnd.openxmlformats-officedocument'

/** Dropbox names no media types, and has no list of its formats: these are seen at Paper and at Google's documents. */
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

/** What a document can be had as, Dropbox's own choice first. Formats that nobody knows here are left out. */
export function formatsOf(exportInfo: unknown): readonly DropboxFormat[] {
  const { export_as: first, export_options: options } = asObject(exportInfo)
  const names = new Set<unknown>([first, ...(Array.isArray(options) ? (options as unknown[]) : [])])
  return [...names].flatMap((name) => {
    const format = typeof name === 'string' ? FORMATS.get(name) : undefined
    return format === undefined || typeof name !== 'string' ? [] : [{ ...format, name, isDefault: name === first }]
  })
}
