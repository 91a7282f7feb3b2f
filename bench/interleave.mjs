/**
 * Measures one round in the order A B C … and back, … C B A, so that changes of speed affect all contestants.
 *
 * @param passes the number of times there and back
 * @param measure returns the figures of one burst, by name
 * @returns for each contestant the means of its bursts
 */
export async function interleave(contestants, passes, measure) {
  const bursts = contestants.map(() => [])
  const order = [...contestants.keys()]
  for (let pass = 0; pass < passes; pass += 1) {
    for (const index of [...order, ...order.toReversed()]) bursts[index].push(await measure(contestants[index]))
  }
  return bursts.map(mean)
}

function mean(figures) {
  const sum = (name) => figures.reduce((total, figure) => total + figure[name], 0)
  return Object.fromEntries(Object.keys(figures[0]).map((name) => [name, sum(name) / figures.length]))
}
