/** Variables as a process has them. */
export type Variables = Readonly<Record<string, string | undefined>>

const CONTROL = /[\u0000-\u001f\u007f]/

/** The configuration cannot be used. Its message lists every problem; none repeats a value that may be secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(['The configuration cannot be used:', ...problems.map((problem) => `  - ${problem}`)].join('\n'))
    this.problems = problems
  }
}

/**
 * Reads variables one by one and collects what is wrong with them, so that an operator hears of everything at once.
 * An empty variable counts as unset: that is how compose files and shells leave one out.
 */
export class Environment {
  readonly problems: string[] = []
  readonly #variables: Variables

  constructor(variables: Variables) {
    this.#variables = variables
  }

  text(name: string): string | undefined {
    const value = this.#variables[name]
    return value === '' ? undefined : value
  }

  /** The variables among `names` that are set. */
  set(names: readonly string[]): string[] {
    return names.filter((name) => this.text(name) !== undefined)
  }

  /** Without it the server does not start; `why` says what it is for. */
  required(name: string, why: string): string {
    const value = this.text(name)
    if (value === undefined) this.problem(name, `is missing: ${why}`)
    return value ?? ''
  }

  /** A text that is compared or sent as it is, where a copied line end or space would make a silent mismatch. */
  exact(name: string, why?: string): string | undefined {
    const value = why === undefined ? this.text(name) : this.required(name, why)
    if (value !== undefined && (value.trim() !== value || CONTROL.test(value))) {
      this.problem(name, 'must not begin or end with a space, or contain control characters')
    }
    return value
  }

  integer(name: string, { min, max }: { readonly min: number; readonly max: number }): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const number = /^\d{1,16}$/.test(value) ? Number(value) : NaN
    if (number >= min && number <= max) return number
    this.problem(name, `must be a whole number from ${min} to ${max}`)
    return undefined
  }

  /** A number above 0 and at most 1. */
  fraction(name: string): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const number = /^(?:0?\.\d{1,6}|1(?:\.0{1,6})?)$/.test(value) ? Number(value) : NaN
    if (number > 0 && number <= 1) return number
    this.problem(name, 'must be a number above 0 and at most 1, such as 0.25')
    return undefined
  }

  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const value = this.text(name)
    const chosen = choices.find((choice) => choice === value)
    if (value !== undefined && chosen === undefined) this.problem(name, `must be one of ${choices.join(', ')}`)
    return chosen
  }

  flag(name: string): boolean | undefined {
    const chosen = this.choice(name, ['true', 'false'])
    return chosen === undefined ? undefined : chosen === 'true'
  }

  /** A list with commas between its items. */
  list(name: string): string[] {
    return (this.text(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  }

  problem(name: string, text: string): void {
    this.problems.push(`${name} ${text}`)
  }
}
