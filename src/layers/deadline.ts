import type { StorageBackend } from '../core/backend.ts'
import { providerFailure } from '../errors.ts'
import { aroundEach } from './layer.ts'

/**
 * Limits each call except uploads to `totalMs`, even if the backend ignores its signal. For a download the deadline
 * ends when its body begins. The backend itself detects a stalled body.
 *
 * Uses its own timer and controller: Node 20 may garbage-collect a composed timeout signal before it fires.
 */
export function withDeadline(backend: StorageBackend, totalMs: number): StorageBackend {
  return aroundEach(backend, async (call, outer, run) => {
    outer.throwIfAborted()
    if (call === 'upload') return await run(outer)
    const controller = new AbortController()
    const leave = (): void => {
      controller.abort(outer.reason)
    }
    outer.addEventListener('abort', leave, { once: true })
    const timer = setTimeout(() => {
      controller.abort(providerFailure('PROVIDER_TIMEOUT'))
    }, totalMs)
    let transferring = false
    try {
      const answer = await Promise.race([run(controller.signal), rejection(controller.signal)])
      if (call === 'download') {
        // The caller's signal must still reach the body.
        transferring = true
        bodyOf(answer).once('close', () => {
          outer.removeEventListener('abort', leave)
        })
      }
      return answer
    } finally {
      clearTimeout(timer)
      if (!transferring) outer.removeEventListener('abort', leave)
    }
  })
}

function rejection(signal: AbortSignal): Promise<never> {
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

function bodyOf(answer: unknown): NodeJS.EventEmitter {
  return (answer as { body: NodeJS.EventEmitter }).body
}
