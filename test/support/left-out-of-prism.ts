/** By how their names begin or end: tests that cannot go through a proxy, and why. */
const LEFT_OUT: readonly (readonly [sentence: string, reason: string])[] = []

/** Why a test is left out, if it is. */
export function leftOut(test: string): string | undefined {
  return LEFT_OUT.find(([sentence]) => test.includes(sentence))?.[1]
}
