/**
 * What a fake ends with: a test of tap's, or a program. Its steps run at the end, the latest first, and what one of
 * them throws is a failure of it.
 */
export interface Lifetime {
  teardown(step: () => unknown): void
}

/** What a fake was asked that nobody should ask. */
export class FakeMistakes extends Error {
  readonly mistakes: readonly string[]

  constructor(fake: string, mistakes: readonly string[]) {
    super(`${fake} was asked what nobody asks: ${mistakes.join('; ')}`)
    this.mistakes = mistakes
  }
}
