/**
 * Response headers that may be logged, and the values that may: numbers and well-known words. All other values may
 * contain a user's secret.
 */
const TELLING: Readonly<Record<string, RegExp>> = {
  'content-type': /^(?:application\/(?:json|xml|problem\+json|octet-stream)|text\/(?:html|plain|xml))(?![^;\s])/i,
  'content-length': /^\d{1,15}$/,
  'content-encoding': /^(?:gzip|x-gzip|deflate|br|zstd|compress|identity)$/i,
  'retry-after': /^\d{1,9}$/
}

/**
 * Describes an exchange for the log: method, origin, status and a few headers. Omits the path, the query and the user
 * name, which contain file names, tokens and signatures.
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
