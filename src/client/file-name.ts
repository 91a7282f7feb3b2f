/** RFC 6266, in the form in which the routes send it: a plain name, an exact one (RFC 8187), or both in this order. */
const FILE_NAME = /^\w+(?:; *filename="([^"]*)")?(?:; *filename\*=utf-8''([^;\s]*))?/i
/** Unicode's bidirectional controls (UAX #9). */
const BIDI_CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/**
 * The name to save a download under, from the `Content-Disposition` of its response: of a native document with the
 * extension of the export. `null` where the header is missing, as on another origin whose CORS headers do not expose it.
 * Bidirectional control characters are removed.
 */
export function fileNameOf({ headers }: { readonly headers: Pick<Headers, 'get'> }): string | null {
  const [, plain = '', exact] = FILE_NAME.exec(headers.get('content-disposition') ?? '') ?? []
  return plainFileName(exact === undefined ? plain : decoded(exact, plain)) || null
}

/** A file name without bidirectional control characters, which display "gpj.exe" as "exe.jpg". */
export function plainFileName(name: string): string {
  return name.replace(BIDI_CONTROLS, '')
}

function decoded(exact: string, plain: string): string {
  try {
    return decodeURIComponent(exact)
  } catch {
    return plain
  }
}
