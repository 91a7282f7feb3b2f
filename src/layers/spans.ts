import type { StorageBackend } from '../core/backend.ts'
import type { Tracing } from '../core/telemetry.ts'
import { interceptCalls, type BackendMethod } from './layer.ts'

const SPAN_NAMES: Readonly<Record<BackendMethod, string>> = {
  listFolder: 'cloud_storage.list_folder',
  stat: 'cloud_storage.stat',
  download: 'cloud_storage.download',
  upload: 'cloud_storage.upload',
  remove: 'cloud_storage.remove',
  createFolder: 'cloud_storage.create_folder',
  downloadUrl: 'cloud_storage.download_url',
  account: 'cloud_storage.account'
}

type Outcome<T> = { readonly result: T } | { readonly abortError: unknown }

/**
 * Runs each call in a span. Around {@link resilient}, the span covers all attempts and waits. The span of a download
 * ends when its body begins.
 *
 * @param provider the provider's name in the spans
 */
export function withSpans(backend: StorageBackend, tracing: Tracing, provider: string): StorageBackend {
  const attributes = { 'cloud_storage.provider': provider }
  return interceptCalls(backend, async (method, signal, run) => {
    type Result = Awaited<ReturnType<typeof run>>
    const outcome = await tracing.span(SPAN_NAMES[method], attributes, async (): Promise<Outcome<Result>> => {
      try {
        return { result: await run(signal) }
      } catch (error) {
        // An aborted call says nothing about the provider's health: its span must not be an error.
        if (signal.aborted) return { abortError: error }
        throw error
      }
    })
    if ('abortError' in outcome) throw outcome.abortError
    return outcome.result
  })
}
