import type { ExportFormat } from './entry.ts'

const NOT_PLAIN = /[^\x20-\x7e]|["\\%]/gu
/** Characters that `encodeURIComponent` does not encode although RFC 8187 requires it. */
const NOT_ATTR_CHAR = /['()*]/g
/** Unicode's bidirectional controls (UAX #9). With them "gpj.exe" is displayed as "exe.jpg". */
const BIDI_CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/**
 * Returns a `Content-Disposition` that makes a browser save the file (RFC 6266). It has a plain name for old clients,
 * with `_` for unsafe characters, and the exact name as in RFC 8187, both without bidirectional controls.
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

/** Removes the characters that change the display order of the other characters. */
export function withoutBidiControls(name: string): string {
  return name.replace(BIDI_CONTROLS, '')
}

/**
 * Returns the file name of an exported document: `Budget` as XLSX is `Budget.xlsx`. A name that already ends in the
 * extension (case-insensitively) stays unchanged. Any other extension (`notes.v2`) remains part of the name.
 */
export function exportedName(name: string, { extension }: ExportFormat): string {
  const safe = withoutBidiControls(name)
  const ending = `.${extension}`
  return safe.toLowerCase().endsWith(ending.toLowerCase()) ? safe : safe + ending
}
