import { storedZip } from './zip.ts'

const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
const PACKAGE = 'http://schemas.openxmlformats.org/package/2006/'
export const RELATIONS = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
export const SCHEMA_BASE_URL = 'http://schemas.openxmlformats.org/'
export const OFFICE_TYPE_PREFIX = 'application/vnd.openxmlformats-officedocument.'

/** Returns a Word document with a paragraph for each line (ECMA-376, the minimum that is valid). */
export function docx(lines: readonly string[]): Buffer {
  const paragraphs = lines.map((line) => `<w:p><w:r><w:t xml:space="preserve">${escapeXml(line)}</w:t></w:r></w:p>`)
  return createPackage('word/document.xml', {
    'word/document.xml': {
      type: `${OFFICE_TYPE_PREFIX}wordprocessingml.document.main+xml`,
      xml: `<w:document xmlns:w="${SCHEMA_BASE_URL}wordprocessingml/2006/main"><w:body>${paragraphs.join('')}</w:body></w:document>`
    }
  })
}

/** Returns an Excel workbook with one sheet of texts. */
export function xlsx(rows: readonly (readonly string[])[]): Buffer {
  const cell = (text: string) => `<c t="inlineStr"><is><t>${escapeXml(text)}</t></is></c>`
  const lines = rows.map((row, index) => `<row r="${index + 1}">${row.map(cell).join('')}</row>`)
  const main = `${SCHEMA_BASE_URL}spreadsheetml/2006/main`
  return createPackage('xl/workbook.xml', {
    'xl/workbook.xml': {
      type: `${OFFICE_TYPE_PREFIX}spreadsheetml.sheet.main+xml`,
      xml: `<workbook xmlns="${main}" xmlns:r="${RELATIONS}"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>`,
      relationships: { worksheet: 'worksheets/sheet1.xml' }
    },
    'xl/worksheets/sheet1.xml': {
      type: `${OFFICE_TYPE_PREFIX}spreadsheetml.worksheet+xml`,
      xml: `<worksheet xmlns="${main}"><sheetData>${lines.join('')}</sheetData></worksheet>`
    }
  })
}

export interface PackagePart {
  readonly type: string
  readonly xml: string
  /** The related parts, by relationship type; paths are relative to its folder. */
  readonly relationships?: Readonly<Record<string, string>>
}

/** Returns the package of the parts (ECMA-376, part 2), with content types and relationships. */
export function createPackage(main: string, parts: Readonly<Record<string, PackagePart>>): Buffer {
  const overrides = Object.entries(parts).map(
    ([path, { type }]) => `<Override PartName="/${path}" ContentType="${type}"/>`
  )
  const relations = Object.entries(parts).flatMap(([path, { relationships }]) =>
    relationships === undefined ? [] : [[path.replace(/[^/]*$/, '_rels/$&.rels'), relationsXml(relationships)] as const]
  )
  return storedZip({
    '[Content_Types].xml': `${XML}<Types xmlns="${PACKAGE}content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>${overrides.join('')}</Types>`,
    '_rels/.rels': relationsXml({ officeDocument: main }),
    ...Object.fromEntries(Object.entries(parts).map(([path, { xml }]) => [path, XML + xml])),
    ...Object.fromEntries(relations)
  })
}

function relationsXml(relationships: Readonly<Record<string, string>>): string {
  const lines = Object.entries(relationships).map(
    ([type, target], index) => `<Relationship Id="rId${index + 1}" Type="${RELATIONS}/${type}" Target="${target}"/>`
  )
  return `${XML}<Relationships xmlns="${PACKAGE}relationships">${lines.join('')}</Relationships>`
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
