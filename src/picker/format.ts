import type { PickerProblem } from './problem.ts'
import { isStringKey, type Translate } from './strings.ts'

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const

/** Formats numbers and times for a locale. */
export interface Format {
  /** Formats a number of bytes with its unit. Empty if it is unknown. */
  size(bytes: number | null): string
  /** Formats an ISO 8601 time in the browser's time zone. Empty if it is unknown. */
  moment(iso: string | null): string
  duration(seconds: number): string
}

export function formatFor(locale: string): Format {
  const dates = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' })
  const numbers = new Map<string, Intl.NumberFormat>()

  function inUnit(value: number, unit: string, maximumFractionDigits: number): string {
    const key = `${unit} ${maximumFractionDigits}`
    const made =
      numbers.get(key) ??
      new Intl.NumberFormat(locale, {
        style: 'unit',
        unit,
        // The short form is "byte" for any number.
        unitDisplay: unit === 'byte' ? 'long' : 'short',
        maximumFractionDigits
      })
    numbers.set(key, made)
    return made.format(value)
  }

  return {
    size(bytes) {
      if (bytes === null) return ''
      const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1)
      const value = bytes / 1000 ** power
      return inUnit(value, UNITS[power] ?? 'byte', value < 10 && power > 0 ? 1 : 0)
    },
    moment(iso) {
      const at = new Date(iso ?? NaN)
      return Number.isNaN(at.getTime()) ? '' : dates.format(at)
    },
    duration: (seconds) => (seconds < 120 ? inUnit(seconds, 'second', 0) : inUnit(Math.ceil(seconds / 60), 'minute', 0))
  }
}

/** Returns the message of a problem. */
export function sayProblem(problem: PickerProblem, t: Translate): string {
  // An authentication hook of the host may use another code for 401.
  const key = `error_${problem.isSignedOut ? 'UNAUTHENTICATED' : problem.code}`
  return isStringKey(key) ? t(key, { detail: problem.detail ?? '' }) : t('errorOther', { code: problem.code })
}
