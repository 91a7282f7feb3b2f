const NOT_PLAIN = /[^\x20-\x7e]|["\\%]/gu
/** What `encodeURIComponent` leaves alone although RFC 8187 does not. */
const NOT_ATTR_CHAR = /['()*]/g

/**
 * A `Content-Disposition` that makes a browser save the file (RFC 6266): a plain name for old clients, where
 * anything doubtful is `_`, and the exact one as RFC 8187 writes it.
 *
 * @param name well-formed Unicode
 */
export function attachment(name: string): string {
  const plain = name.replace(NOT_PLAIN, '_')
  if (plain === name) return `attachment; filename="${name}"`
  const exact = encodeURIComponent(name).replace(NOT_ATTR_CHAR, (char) => `%${char.charCodeAt(0).toString(16)}`)
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`
}
