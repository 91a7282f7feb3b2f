/** RFC 6266, as the routes send it: a plain name, an exact one (RFC 8187), or both in this order. */
const FILE_NAME = /^\w+(?:; *filename="([^"]*)")?(?:; *filename\*=utf-8''([^;\s]*))?/i
/** Unicode's bidirectional controls (UAX #9). */
const BIDI_CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/**
 * Returns the name for saving a download, from the `Content-Disposition` of its response. The name of a native
 * document has the extension of the export. `null` if the header is missing, as on another origin if CORS does not
 * expose it. Bidirectional control characters are removed.
 */
export function fileNameOf({ headers }: { readonly headers: Pick<Headers, 'get'> }): string | null {
  const [, plain = '', encoded] = FILE_NAME.exec(headers.get('content-disposition') ?? '') ?? []
  return plainFileName(encoded === undefined ? plain : decodeName(encoded, plain)) || null
}

/** Removes bidirectional control characters, which display "gpj.exe" as "exe.jpg", from a file name. */
export function plainFileName(name: string): string {
  return name.replace(BIDI_CONTROLS, '')
}

function decodeName(encoded: string, plain: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return plain
  }
}
