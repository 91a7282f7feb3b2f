// Compares the allocations of a hit on a page of 1 MB with those on a page of 1 KB, in new processes. For any page, a
// hit is the same promise. Run `npm run build` first.
import { compare, inFreshProcess, showWhenAlone } from './compare.mjs'

/** A count, not a time: it is the same in each process. */
const ROUNDS = 3
const flags = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128']

export async function rows({ rounds }) {
  const perHit = (size) =>
    inFreshProcess(new URL('allocation-process.mjs', import.meta.url), { flags, args: [String(size)] }).bytes
  const name = 'allocated by a hit: a page of 1 MB against 1 KB, bytes'
  const target = { atMost: 1.1 }
  return [
    await compare(
      name,
      Math.min(rounds, ROUNDS),
      () => perHit(1024 * 1024),
      () => perHit(1024),
      target
    )
  ]
}

await showWhenAlone(import.meta.url, rows)
