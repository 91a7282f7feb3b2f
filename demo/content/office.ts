import { storedZip } from './zip.ts'

const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
const PACKAGE = 'http://schemas.openxmlformats.org/package/2006/'
export const RELATIONS = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
export const MARKUP = 'http://schemas.openxmlformats.org/'
export const TYPES = 'application/vnd.openxmlformats-officedocument.'

/** Returns a Word document with a paragraph for each line (ECMA-376, the minimum that is valid). */
export function docx(lines: readonly string[]): Buffer {
  const paragraphs = lines.map((line) => `<w:p><w:r><w:t xml:space="preserve">${escapeXml(line)}</w:t></w:r></w:p>`)
  return openPackage('word/document.xml', {
    'word/document.xml': {
      type: `${TYPES}wordprocessingml.document.main+xml`,
      xml: `<w:document xmlns:w="${MARKUP}wordprocessingml/2006/main"><w:body>${paragraphs.join('')}</w:body></w:document>`
    }
  })
}

/** Returns an Excel workbook with one sheet of texts. */
export function xlsx(rows: readonly (readonly string[])[]): Buffer {
  const cell = (text: string) => `<c t="inlineStr"><is><t>${escapeXml(text)}</t></is></c>`
  const lines = rows.map((row, at) => `<row r="${at + 1}">${row.map(cell).join('')}</row>`)
  const main = `${MARKUP}spreadsheetml/2006/main`
  return openPackage('xl/workbook.xml', {
    'xl/workbook.xml': {
      type: `${TYPES}spreadsheetml.sheet.main+xml`,
      xml: `<workbook xmlns="${main}" xmlns:r="${RELATIONS}"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>`,
      leadsTo: { worksheet: 'worksheets/sheet1.xml' }
    },
    'xl/worksheets/sheet1.xml': {
      type: `${TYPES}spreadsheetml.worksheet+xml`,
      xml: `<worksheet xmlns="${main}"><sheetData>${lines.join('')}</sheetData></worksheet>`
    }
  })
}

export interface Part {
  readonly type: string
  readonly xml: string
  /** The related parts, by relationship type; paths are relative to its folder. */
  readonly leadsTo?: Readonly<Record<string, string>>
}

/** Returns the package of the parts (ECMA-376, part 2), with content types and relationships. */
export function openPackage(main: string, parts: Readonly<Record<string, Part>>): Buffer {
  const overrides = Object.entries(parts).map(
    ([path, { type }]) => `<Override PartName="/${path}" ContentType="${type}"/>`
  )
  const relations = Object.entries(parts).flatMap(([path, { leadsTo }]) =>
    leadsTo === undefined ? [] : [[path.replace(/[^/]*$/, '_rels/$&.rels'), relationsXml(leadsTo)] as const]
  )
  return storedZip({
    '[Content_Types].xml': `${XML}<Types xmlns="${PACKAGE}content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>${overrides.join('')}</Types>`,
    '_rels/.rels': relationsXml({ officeDocument: main }),
    ...Object.fromEntries(Object.entries(parts).map(([path, { xml }]) => [path, XML + xml])),
    ...Object.fromEntries(relations)
  })
}

function relationsXml(leadsTo: Readonly<Record<string, string>>): string {
  const lines = Object.entries(leadsTo).map(
    ([type, target], at) => `<Relationship Id="rId${at + 1}" Type="${RELATIONS}/${type}" Target="${target}"/>`
  )
  return `${XML}<Relationships xmlns="${PACKAGE}relationships">${lines.join('')}</Relationships>`
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
