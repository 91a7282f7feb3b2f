/**
 * Returns the delay that `Retry-After` requests, in milliseconds (RFC 9110, 10.2.3): seconds or a date. A date is
 * relative to the response's own `Date`, so our clocks do not matter. `undefined` if it is missing or invalid.
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

/** Parses the three forms of RFC 9110, 5.6.7. All are in GMT; the oldest one, `asctime`, does not say so. */
function parseDate(text: string): number {
  // `Date.parse` also accepts values that are not HTTP dates, such as bare numbers and ISO 8601.
  const form = /^[A-Z][a-z]{2,8},? [\w -]{6,12} \d\d:\d\d:\d\d (?:GMT|(?<year>\d{4}))$/.exec(text.trim())
  if (form === null) return NaN
  return Date.parse(form.groups?.['year'] === undefined ? text : `${text} GMT`)
}
