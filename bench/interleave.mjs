/**
 * One round: A B C … and back, … C B A, so that what becomes slower or faster in the course of a round does so for all.
 *
 * @param measure gives the figures of one burst, by name
 * @returns for each contestant the means of its two bursts
 */
export async function interleave(contestants, measure) {
  const there = await inTurn(contestants, measure)
  const back = await inTurn(contestants.toReversed(), measure)
  return there.map((figures, index) => mean(figures, back.at(-1 - index)))
}

async function inTurn(contestants, measure) {
  const results = []
  for (const contestant of contestants) results.push(await measure(contestant))
  return results
}

function mean(a, b) {
  return Object.fromEntries(Object.entries(a).map(([name, value]) => [name, (value + b[name]) / 2]))
}
