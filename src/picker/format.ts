import type { PickerProblem } from './problem.ts'
import { isStringKey, type Translate } from './strings.ts'

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const

/** Numbers and times as a language writes them. */
export interface Format {
  /** Bytes, with a unit; empty where nobody knows. */
  size(bytes: number | null): string
  /** An ISO 8601 time, in the zone of the browser; empty where nobody knows. */
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
        // Short it would be a byte, however many there are.
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

/** A failure in words. */
export function sayProblem(problem: PickerProblem, t: Translate): string {
  // A host's own hook may have another code for it.
  const key = `error_${problem.isSignedOut ? 'UNAUTHENTICATED' : problem.code}`
  return isStringKey(key) ? t(key, { detail: problem.detail ?? '' }) : t('errorOther', { code: problem.code })
}
