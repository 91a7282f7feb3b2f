const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/
/** What servers send for a time that they do not know: the zeros of Unix, of Windows, and of .NET. */
const UNKNOWN: ReadonlySet<number> = new Set([0, Date.UTC(1601, 0, 1), Date.parse('0001-01-01T00:00:00Z')])

/** A time in milliseconds since 1970 as ISO 8601; `null` for what is none, and for a time that was not known. */
export function knownTime(time: number): string | null {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) || UNKNOWN.has(time) ? null : date.toISOString()
}

/** A time as JSON APIs write it (RFC 3339), in UTC with milliseconds; `null` for what is none or not known. */
export function readIsoTime(value: unknown): string | null {
  return typeof value === 'string' && RFC3339.test(value) ? knownTime(Date.parse(value)) : null
}
