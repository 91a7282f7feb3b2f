const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/

/** A time as JSON APIs write it (RFC 3339), in UTC with milliseconds; `null` for what is none. */
export function readIsoTime(value: unknown): string | null {
  if (typeof value !== 'string' || !RFC3339.test(value)) return null
  const time = Date.parse(value)
  return Number.isNaN(time) ? null : new Date(time).toISOString()
}
