/**
 * Headers of an answer that a log may repeat, and which values of them: numbers and well-known words. All others may
 * hold a secret of the user's.
 */
const TELLING: Readonly<Record<string, RegExp>> = {
  'content-type': /^(?:application\/(?:json|xml|problem\+json|octet-stream)|text\/(?:html|plain|xml))(?![^;\s])/i,
  'content-length': /^\d{1,15}$/,
  'content-encoding': /^(?:gzip|x-gzip|deflate|br|zstd|compress|identity)$/i,
  'retry-after': /^\d{1,9}$/
}

/**
 * One exchange as a log may tell it: method, origin, status and the headers of a short list. Not the path, the query
 * or a user name, which hold file names, tokens and signatures.
 */
export function describeExchange(
  method: string,
  url: URL,
  answer?: { readonly status: number; readonly headers: Readonly<Record<string, string>> }
): string {
  const asked = `${method} ${url.origin}`
  if (answer === undefined) return asked
  const told = Object.entries(TELLING).flatMap(([name, pattern]) => {
    const [value] = pattern.exec(answer.headers[name] ?? '') ?? []
    return value === undefined ? [] : [`${name}: ${value}`]
  })
  return `${asked} answered ${answer.status}${told.length === 0 ? '' : ` (${told.join(', ')})`}`
}
