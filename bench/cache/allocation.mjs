// What a hit allocates where the page has 1 MB, against where it has 1 KB: fresh processes, and whatever the page, it is
// the same promise. Run `npm run build` first.
import { compare, inFreshProcess, showWhenAlone } from './compare.mjs'

/** It is counted, and not timed: the same in each process. */
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
