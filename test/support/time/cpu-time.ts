import { setImmediate } from 'node:timers/promises'

/** Returns the CPU time of some work in microseconds: the minimum of three runs. */
export async function leastCpuOf(work: () => Promise<unknown>): Promise<number> {
  let least = Infinity
  for (let run = 0; run < 3; run++) {
    const before = process.cpuUsage()
    await work()
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, user + system)
  }
  return least
}

/** Returns the CPU time of the longest event loop turn until `work` ends, and the total, in milliseconds. */
export async function cpuOfTurns(work: Promise<unknown>): Promise<{ longest: number; total: number }> {
  let isDone = false
  void work.then(
    () => (isDone = true),
    () => (isDone = true)
  )
  const begin = process.cpuUsage()
  let longest = 0
  while (!(isDone as boolean)) {
    const before = process.cpuUsage()
    await setImmediate()
    const { user, system } = process.cpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
  }
  const { user, system } = process.cpuUsage(begin)
  return { longest, total: (user + system) / 1000 }
}

/** Returns a text of at least `length` characters. */
export function repeated(unit: string, length: number): string {
  return unit.repeat(Math.ceil(length / unit.length))
}

export function pieces(text: string | Buffer, size: number): Buffer[] {
  const bytes = Buffer.from(text)
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size)
  )
}
