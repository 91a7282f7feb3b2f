import { inspect } from 'node:util'

const REDACTED = '[secret]'

/**
 * A value that is never printed: `console.log`, `JSON.stringify`, template strings and error dumps show `[secret]`.
 * Only `reveal()` returns it, so a search for that word finds every use of a secret.
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
