import { inspect } from 'node:util'

const REDACTED = '[secret]'

/**
 * A value that does not show itself: `console.log`, `JSON.stringify`, template strings and error dumps print
 * `[secret]`. Only `reveal()` gives it, so that every place that uses a secret can be found by that word.
 */
export class Secret<T> {
  readonly #value: T

  static {
    Object.defineProperty(Secret.prototype, inspect.custom, { value: () => REDACTED })
  }

  constructor(value: T) {
    this.#value = value
  }

  reveal(): T {
    return this.#value
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }
}
