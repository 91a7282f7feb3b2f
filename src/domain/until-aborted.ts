/**
 * The outcome of `work`, or the signal's reason as soon as it is aborted: for clients that heed a signal late, as
 * undici 7 does while it resolves a name and connects.
 *
 * @param drop lets go of what comes when nobody waits for it any more
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
