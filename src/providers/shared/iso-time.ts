const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/
/** Values that servers send for unknown times: the epochs of Unix, Windows and .NET. */
const UNKNOWN: ReadonlySet<number> = new Set([0, Date.UTC(1601, 0, 1), Date.parse('0001-01-01T00:00:00Z')])

/** Formats a time in milliseconds since 1970 as ISO 8601. Returns `null` for invalid and unknown times. */
export function knownTime(time: number): string | null {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) || UNKNOWN.has(time) ? null : date.toISOString()
}

/** Parses an RFC 3339 time of a JSON API into UTC with milliseconds. Returns `null` for invalid and unknown times. */
export function readIsoTime(value: unknown): string | null {
  return typeof value === 'string' && RFC3339.test(value) ? knownTime(Date.parse(value)) : null
}
