/**
 * How long `Retry-After` asks to wait, in milliseconds (RFC 9110, 10.2.3): seconds or a date. A date counts from the
 * answer's own `Date`, so that no clock of ours matters. `undefined` where there is none, or none that can be read.
 *
 * @param headers by lower-case name
 */
export function readRetryAfter(headers: Readonly<Record<string, string | undefined>> | undefined): number | undefined {
  const value = headers?.['retry-after']?.trim()
  if (value === undefined || value === '') return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const waitMs = parseDate(value) - parseDate(headers?.['date'] ?? '')
  return Number.isNaN(waitMs) ? undefined : Math.max(0, waitMs)
}

/** The three forms of RFC 9110, 5.6.7. All are in GMT; the oldest, of `asctime`, does not say so. */
function parseDate(text: string): number {
  // `Date.parse` takes much that is no date of HTTP, bare numbers and ISO 8601 among it.
  const form = /^[A-Z][a-z]{2,8},? [\w -]{6,12} \d\d:\d\d:\d\d (?:GMT|(?<year>\d{4}))$/.exec(text.trim())
  if (form === null) return NaN
  return Date.parse(form.groups?.['year'] === undefined ? text : `${text} GMT`)
}
