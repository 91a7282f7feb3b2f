import type { StorageBackend } from '../core/backend.ts'
import type { Tracing } from '../core/telemetry.ts'
import { aroundEach, type BackendCall } from './layer.ts'

const SPAN_NAMES: Readonly<Record<BackendCall, string>> = {
  listFolder: 'cloud_storage.list_folder',
  stat: 'cloud_storage.stat',
  download: 'cloud_storage.download',
  upload: 'cloud_storage.upload',
  remove: 'cloud_storage.remove',
  createFolder: 'cloud_storage.create_folder',
  downloadUrl: 'cloud_storage.download_url',
  account: 'cloud_storage.account'
}

type Settled<T> = { readonly answer: T } | { readonly left: unknown }

/**
 * Runs each call in a span. Around {@link resilient}, the span covers all attempts and waits. The span of a download
 * ends when its body begins.
 *
 * @param provider the provider's name in the spans
 */
export function withSpans(backend: StorageBackend, tracing: Tracing, provider: string): StorageBackend {
  const attributes = { 'cloud_storage.provider': provider }
  return aroundEach(backend, async (call, signal, run) => {
    type Answer = Awaited<ReturnType<typeof run>>
    const settled = await tracing.span(SPAN_NAMES[call], attributes, async (): Promise<Settled<Answer>> => {
      try {
        return { answer: await run(signal) }
      } catch (error) {
        // An aborted call says nothing about the provider's health: its span must not be an error.
        if (signal.aborted) return { left: error }
        throw error
      }
    })
    if ('left' in settled) throw settled.left
    return settled.answer
  })
}
