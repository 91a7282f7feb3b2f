/** Freezes a JSON value deeply and in place: later readers get the same object. */
export function deepFreeze(value: unknown): void {
  const seen = new Set<unknown>()
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next !== 'object' || next === null || seen.has(next)) continue
    seen.add(next)
    Object.freeze(next)
    for (const key of Object.keys(next)) open.push((next as Record<string, unknown>)[key])
  }
}
