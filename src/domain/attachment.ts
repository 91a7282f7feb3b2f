import type { ExportFormat } from './entry.ts'

const NOT_PLAIN = /[^\x20-\x7e]|["\\%]/gu
/** What `encodeURIComponent` leaves alone although RFC 8187 does not. */
const NOT_ATTR_CHAR = /['()*]/g
/** Unicode's bidirectional controls (UAX #9). With them "gpj.exe" is displayed as "exe.jpg". */
const BIDI_CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/**
 * A `Content-Disposition` that makes a browser save the file (RFC 6266): a plain name for old clients, where
 * anything doubtful is `_`, and the exact one as RFC 8187 writes it. Neither contains bidirectional controls.
 *
 * @param name well-formed Unicode
 */
export function attachment(name: string): string {
  const safe = withoutBidiControls(name)
  const plain = safe.replace(NOT_PLAIN, '_')
  if (plain === safe) return `attachment; filename="${safe}"`
  const exact = encodeURIComponent(safe).replace(NOT_ATTR_CHAR, (char) => `%${char.charCodeAt(0).toString(16)}`)
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`
}

/** A file name without the characters that change the order in which the others are displayed. */
export function withoutBidiControls(name: string): string {
  return name.replace(BIDI_CONTROLS, '')
}

/**
 * The file name of an exported document: `Budget` as XLSX is `Budget.xlsx`. A name that ends in the extension already,
 * in any case, keeps it; another extension (`notes.v2`) stays as a part of the name.
 */
export function exportedName(name: string, { extension }: ExportFormat): string {
  const safe = withoutBidiControls(name)
  const ending = `.${extension}`
  return safe.toLowerCase().endsWith(ending.toLowerCase()) ? safe : safe + ending
}
