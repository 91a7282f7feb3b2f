/**
 * The lifetime of a fake: a tap test, or a program. Its teardown steps run at the end, the latest first. An error in
 * a step counts as a failure.
 */
export interface Lifetime {
  teardown(step: () => unknown): void
}

/** The requests to a fake that no client should send. */
export class FakeMistakes extends Error {
  readonly mistakes: readonly string[]

  constructor(fakeName: string, mistakes: readonly string[]) {
    super(`${fakeName} reported mistakes: ${mistakes.join('; ')}`)
    this.mistakes = mistakes
  }
}
