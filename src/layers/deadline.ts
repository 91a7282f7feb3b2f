import type { Download, StorageBackend } from '../core/backend.ts'
import { Deadline, raceSignal } from '../core/time.ts'
import { providerFailure } from '../errors.ts'
import { interceptCalls } from './layer.ts'

/**
 * Limits each call except uploads to `totalMs`, even if the backend ignores its signal. For a download the deadline
 * ends when its body begins. The backend itself detects a stalled body.
 */
export function withDeadline(backend: StorageBackend, totalMs: number): StorageBackend {
  return interceptCalls(backend, async (method, outer, run) => {
    outer.throwIfAborted()
    if (method === 'upload') return await run(outer)
    const deadline = new Deadline(totalMs, outer, () => providerFailure('PROVIDER_TIMEOUT'))
    try {
      const result = await raceSignal(run(deadline.signal), deadline.signal)
      if (method === 'download') {
        // The caller's signal must still reach the body.
        deadline.clearTimer()
        const { body } = result as Download
        body.once('close', () => {
          deadline.clear()
        })
      } else {
        deadline.clear()
      }
      return result
    } catch (error) {
      deadline.clear()
      throw error
    }
  })
}
