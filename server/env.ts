/** The environment variables of a process. */
export type Variables = Readonly<Record<string, string | undefined>>

const CONTROL = /[\u0000-\u001f\u007f]/

/** An unusable configuration. The message lists every problem, and repeats no value that may be secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(['The configuration is invalid:', ...problems.map((problem) => `  - ${problem}`)].join('\n'))
    this.problems = problems
  }
}

/**
 * Reads environment variables and collects all problems, so that an operator sees them together. An empty variable
 * counts as unset, since compose files and shells omit variables this way.
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

  /** Returns the variables among `names` that are set. */
  pickDefined(names: readonly string[]): string[] {
    return names.filter((name) => this.text(name) !== undefined)
  }

  /** Reads a variable without which the server does not start; `purpose` is part of the message. */
  required(name: string, purpose: string): string {
    const value = this.text(name)
    if (value === undefined) this.addProblem(name, `is missing: ${purpose}`)
    return value ?? ''
  }

  /** Reads a text that is compared or sent unchanged. A copied line end or space would be a silent mismatch. */
  exact(name: string, purpose?: string): string | undefined {
    const value = purpose === undefined ? this.text(name) : this.required(name, purpose)
    if (value !== undefined && (value.trim() !== value || CONTROL.test(value))) {
      this.addProblem(name, 'must not begin or end with a space, or contain control characters')
    }
    return value
  }

  integer(name: string, { min, max }: { readonly min: number; readonly max: number }): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const number = /^\d{1,16}$/.test(value) ? Number(value) : NaN
    if (number >= min && number <= max) return number
    this.addProblem(name, `must be a whole number from ${min} to ${max}`)
    return undefined
  }

  /** Reads a number above 0 and at most 1. */
  fraction(name: string): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const number = /^(?:0?\.\d{1,6}|1(?:\.0{1,6})?)$/.test(value) ? Number(value) : NaN
    if (number > 0 && number <= 1) return number
    this.addProblem(name, 'must be a number above 0 and at most 1, such as 0.25')
    return undefined
  }

  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const value = this.text(name)
    const chosen = choices.find((choice) => choice === value)
    if (value !== undefined && chosen === undefined) this.addProblem(name, `must be one of ${choices.join(', ')}`)
    return chosen
  }

  flag(name: string): boolean | undefined {
    const chosen = this.choice(name, ['true', 'false'])
    return chosen === undefined ? undefined : chosen === 'true'
  }

  /** Reads a list with commas between its items. */
  list(name: string): string[] {
    return (this.text(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  }

  addProblem(name: string, text: string): void {
    this.problems.push(`${name} ${text}`)
  }
}
