/** Checks of options. Each throws a TypeError that starts with the name of the option. */

export function optionError(name: string, problem: string, options?: ErrorOptions): TypeError {
  return new TypeError(`fastify-cloud-storage: option ${name}: ${problem}`, options)
}

export function check(condition: boolean, name: string, problem: string): asserts condition {
  if (!condition) throw optionError(name, problem)
}

export function record(name: string, value: unknown): Record<string, unknown> {
  check(typeof value === 'object' && value !== null && !Array.isArray(value), name, 'must be an object')
  return value as Record<string, unknown>
}

/** Rejects unknown names: a misspelt limit would silently keep its default. */
export function known(name: string, value: Record<string, unknown>, names: readonly string[]): void {
  for (const key of Object.keys(value)) {
    check(names.includes(key), name === '' ? key : `${name}.${key}`, 'is not a known option')
  }
}

export function positive(name: string, value: unknown): void {
  check(Number.isSafeInteger(value) && (value as number) > 0, name, 'must be a positive integer')
}

export function text(name: string, value: unknown): asserts value is string {
  check(typeof value === 'string' && value !== '', name, 'must be a non-empty string')
}

/** Checks optional positive integers, and adds the defaults. */
export function numbers<T extends object>(name: string, given: Partial<T> | undefined, defaults: T): T {
  const values = record(name, given ?? {})
  known(name, values, Object.keys(defaults))
  for (const [key, value] of Object.entries(values)) positive(`${name}.${key}`, value)
  return { ...defaults, ...values }
}
