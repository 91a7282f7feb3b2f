import { setImmediate } from 'node:timers/promises'

/** Returns the CPU time of some work in microseconds: the minimum of three runs. */
export async function minCpuTime(work: () => Promise<unknown>): Promise<number> {
  let minimum = Infinity
  for (let run = 0; run < 3; run++) {
    const before = process.cpuUsage()
    await work()
    const { user, system } = process.cpuUsage(before)
    minimum = Math.min(minimum, user + system)
  }
  return minimum
}

/** Returns the CPU time of the longest event loop turn until `work` ends, and the total, in milliseconds. */
export async function cpuTimePerTurn(work: Promise<unknown>): Promise<{ longest: number; total: number }> {
  let isDone = false
  void work.then(
    () => (isDone = true),
    () => (isDone = true)
  )
  const start = process.cpuUsage()
  let longest = 0
  while (!(isDone as boolean)) {
    const before = process.cpuUsage()
    await setImmediate()
    const { user, system } = process.cpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
  }
  const { user, system } = process.cpuUsage(start)
  return { longest, total: (user + system) / 1000 }
}

/** Returns a text of at least `length` characters. */
export function repeatTo(unit: string, length: number): string {
  return unit.repeat(Math.ceil(length / unit.length))
}

export function splitIntoChunks(text: string | Buffer, size: number): Buffer[] {
  const bytes = Buffer.from(text)
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size)
  )
}
