/**
 * Returns the outcome of `work`, or rejects with the signal's reason as soon as it aborts. For clients that react to
 * a signal late, such as undici 7 while it resolves a name and connects.
 *
 * @param drop releases a result that arrives after the abort
 */
export async function untilAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  drop: (late: T) => void = () => {}
): Promise<T> {
  let leave: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    leave = () => {
      work.then(drop, () => {})
      reject(signal.reason)
    }
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (leave !== undefined) signal.removeEventListener('abort', leave)
  }
}
