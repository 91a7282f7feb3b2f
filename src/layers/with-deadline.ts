import type { StorageBackend } from '../domain/storage-backend.ts'
import { providerFailure } from '../domain/provider-failure.ts'
import { aroundEach } from './around-each.ts'

/**
 * Ends each call that is not a transfer after `totalMs`, also one whose backend does not heed its signal. A download
 * is held to it until its body begins; an upload is not: silence in a body is the backend's own to notice.
 *
 * A timer and a controller of our own: a composed time-out signal can be lost to the garbage collector on Node 20.
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
        // The caller's signal must go on to reach the body.
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
