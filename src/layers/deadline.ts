import type { StorageBackend } from '../core/backend.ts'
import { providerFailure } from '../errors.ts'
import { interceptCalls } from './layer.ts'

/**
 * Limits each call except uploads to `totalMs`, even if the backend ignores its signal. For a download the deadline
 * ends when its body begins. The backend itself detects a stalled body.
 *
 * Uses its own timer and controller: Node 20 may garbage-collect a composed timeout signal before it fires.
 */
export function withDeadline(backend: StorageBackend, totalMs: number): StorageBackend {
  return interceptCalls(backend, async (method, outer, run) => {
    outer.throwIfAborted()
    if (method === 'upload') return await run(outer)
    const controller = new AbortController()
    const onAbort = (): void => {
      controller.abort(outer.reason)
    }
    outer.addEventListener('abort', onAbort, { once: true })
    const timer = setTimeout(() => {
      controller.abort(providerFailure('PROVIDER_TIMEOUT'))
    }, totalMs)
    let isTransferring = false
    try {
      const result = await Promise.race([run(controller.signal), rejectOnAbort(controller.signal)])
      if (method === 'download') {
        // The caller's signal must still reach the body.
        isTransferring = true
        bodyOf(result).once('close', () => {
          outer.removeEventListener('abort', onAbort)
        })
      }
      return result
    } finally {
      clearTimeout(timer)
      if (!isTransferring) outer.removeEventListener('abort', onAbort)
    }
  })
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener(
      'abort',
      () => {
        reject(signal.reason)
      },
      { once: true }
    )
  })
}

function bodyOf(result: unknown): NodeJS.EventEmitter {
  return (result as { body: NodeJS.EventEmitter }).body
}
