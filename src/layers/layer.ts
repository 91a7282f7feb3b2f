import type { Readable } from 'node:stream'
import type { Download, StorageBackend } from '../core/backend.ts'
import type { HostTrail } from '../core/host-trail.ts'
import type { Tracing } from '../core/telemetry.ts'
import type { Permit } from '../core/user-limits.ts'
import { type FailureDetails, StorageError } from '../errors.ts'

/** The methods of a backend that make remote calls. */
export type BackendMethod =
  'listFolder' | 'stat' | 'download' | 'upload' | 'remove' | 'createFolder' | 'downloadUrl' | 'account'

/** Runs one call of a backend, with the caller's signal or one of its own. */
export type CallInterceptor = <T>(
  method: BackendMethod,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>
) => Promise<T>

/** Wraps each call of a backend in `intercept`. Methods that the backend lacks stay absent. */
export function interceptCalls(backend: StorageBackend, intercept: CallInterceptor): StorageBackend {
  return {
    provider: backend.provider,
    capabilities: backend.capabilities,
    listFolder: (folderId, call) =>
      intercept('listFolder', call.signal, (signal) => backend.listFolder(folderId, { ...call, signal })),
    stat: (id, call) => intercept('stat', call.signal, (signal) => backend.stat(id, { ...call, signal })),
    download: (id, call) => intercept('download', call.signal, (signal) => backend.download(id, { ...call, signal })),
    account: (call) => intercept('account', call.signal, (signal) => backend.account({ ...call, signal })),
    ...(backend.upload && {
      upload: (target, body, call) =>
        destroySourceOnError(body, () =>
          intercept('upload', call.signal, (signal) =>
            requireMethod(backend.upload?.(target, body, { ...call, signal }))
          )
        )
    }),
    ...(backend.remove && {
      remove: (id, call) =>
        intercept('remove', call.signal, (signal) => requireMethod(backend.remove?.(id, { ...call, signal })))
    }),
    ...(backend.createFolder && {
      createFolder: (parentId, name, call) =>
        intercept('createFolder', call.signal, (signal) =>
          requireMethod(backend.createFolder?.(parentId, name, { ...call, signal }))
        )
    }),
    ...(backend.downloadUrl && {
      downloadUrl: (id, call) =>
        intercept('downloadUrl', call.signal, (signal) => requireMethod(backend.downloadUrl?.(id, { ...call, signal })))
    })
  }
}

const ignoreError = (): void => {}

/** Handles errors of an upload's source while layers wait, and destroys the source if they reject. */
async function destroySourceOnError<T>(source: Readable, upload: () => Promise<T>): Promise<T> {
  // Once for all layers: Node warns of a leak above ten listeners.
  if (!source.listeners('error').includes(ignoreError)) source.on('error', ignoreError)
  try {
    return await upload()
  } catch (error) {
    source.destroy()
    throw error
  }
}

/** The method existed when the layer was applied. */
function requireMethod<T>(promise: Promise<T> | undefined): Promise<T> {
  if (promise === undefined) throw new TypeError('A backend must not lose a method after layers are applied')
  return promise
}

/**
 * Adds details to each error, for the log. Also covers the body of a download, which may fail later.
 *
 * @param detailsOf called with the signal of a call that has failed
 */
export function withDetails(
  backend: StorageBackend,
  detailsOf: (signal: AbortSignal) => FailureDetails
): StorageBackend {
  return interceptCalls(backend, async (method, signal, run) => {
    const addContext = (error: unknown): void => {
      if (error instanceof StorageError) error.about(detailsOf(signal))
    }
    try {
      const result = await run(signal)
      // Before the listeners of the reader, which may log the error.
      if (method === 'download') (result as Download).body.prependListener('error', addContext)
      return result
    } catch (error) {
      addContext(error)
      throw error
    }
  })
}

/** Adds the host. Must be the innermost layer: only there a call's signal is the one passed to the egress. */
export function withHost(backend: StorageBackend, hosts: HostTrail): StorageBackend {
  return withDetails(backend, (signal) => ({ host: hosts.hostOf(signal) }))
}

/**
 * Encloses all layers that may fail: every error is a `StorageError`. Other errors of a backend (a host application's
 * own provider may throw anything) become `PROVIDER_ERROR` with the original as the cause.
 */
export function withStorageErrors(backend: StorageBackend): StorageBackend {
  return interceptCalls(backend, async (_method, signal, run) => {
    try {
      return await run(signal)
    } catch (error) {
      if (error instanceof StorageError || signal.aborted) throw error
      throw new StorageError('PROVIDER_ERROR', 'The provider failed with an unknown error.', { cause: error })
    }
  })
}

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
 * Runs each call in a span. Around the resilience layers, the span covers all attempts and waits. The span of a download
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

/** Holds `permit` during each call, and until the body of a download has closed. */
export function withPermit(backend: StorageBackend, permit: Permit): StorageBackend {
  return interceptCalls(backend, async (method, signal, run) => {
    const release = permit.hold()
    try {
      const result = await run(signal)
      if (method === 'download') (result as Download).body.once('close', permit.hold())
      return result
    } finally {
      release()
    }
  })
}
