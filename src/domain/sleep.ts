/** Waits. Rejects with the signal's reason if it aborts. Leaves no timer or listener behind in either case. */
export function sleep(waitMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const leave = (): void => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', leave)
      resolve()
    }, Math.ceil(waitMs))
    signal.addEventListener('abort', leave, { once: true })
  })
}

/** Resolves when `work` has settled, or after `ms` milliseconds. */
export async function settledWithin(work: Promise<unknown>, ms: number): Promise<void> {
  const ended = new AbortController()
  const end = (): void => {
    ended.abort()
  }
  work.then(end, end)
  await sleep(ms, ended.signal).catch(() => {})
}
