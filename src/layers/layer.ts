import type { Readable } from 'node:stream'
import type { Call, Download, StorageBackend } from '../core/backend.ts'
import type { Tracing } from '../core/telemetry.ts'
import type { Permit } from '../core/user-limits.ts'
import { type FailureDetails, StorageError } from '../errors.ts'

/** The methods of a backend that make remote calls. */
export type BackendMethod =
  | 'listFolder'
  | 'stat'
  | 'download'
  | 'upload'
  | 'remove'
  | 'createFolder'
  | 'downloadUrl'
  | 'account'
  | 'position'
  | 'changes'
  | 'isCurrent'
  | 'waitForChange'

/** Runs one call of a backend. `run` makes the call, with the caller's options or with others. */
export type CallRunner = <C extends Call, T>(method: BackendMethod, call: C, run: (call: C) => Promise<T>) => Promise<T>

/** Encloses a runner in another one, which runs each call through `next`: once, several times or not at all. */
export type Layer = (next: CallRunner) => CallRunner

/** The innermost runner. */
export const runCall: CallRunner = (_method, call, run) => run(call)

/**
 * Leaves waits for an announcement out of a layer. They last for minutes, fail by nature, and affect nothing but the
 * time at which the next check begins: they say nothing about the health of the provider or the credentials.
 */
export function exceptWaits(layer: Layer): Layer {
  return (next) => {
    const runner = layer(next)
    return (method, call, run) => (method === 'waitForChange' ? next : runner)(method, call, run)
  }
}

/** Returns a backend whose calls are run by `runner`. Methods that the backend lacks stay absent. */
export function interceptCalls(backend: StorageBackend, runner: CallRunner): StorageBackend {
  const upload = backend.upload?.bind(backend)
  const remove = backend.remove?.bind(backend)
  const createFolder = backend.createFolder?.bind(backend)
  const downloadUrl = backend.downloadUrl?.bind(backend)
  const position = backend.position?.bind(backend)
  const changes = backend.changes?.bind(backend)
  const isCurrent = backend.isCurrent?.bind(backend)
  const waitForChange = backend.waitForChange?.bind(backend)
  return {
    provider: backend.provider,
    capabilities: backend.capabilities,
    listFolder: (folderId, call) => runner('listFolder', call, (call) => backend.listFolder(folderId, call)),
    stat: (id, call) => runner('stat', call, (call) => backend.stat(id, call)),
    download: (id, call) => runner('download', call, (call) => backend.download(id, call)),
    account: (call) => runner('account', call, (call) => backend.account(call)),
    ...(upload && {
      upload: (target, body, call) =>
        destroySourceOnError(body, () => runner('upload', call, (call) => upload(target, body, call)))
    }),
    ...(remove && { remove: (id, call) => runner('remove', call, (call) => remove(id, call)) }),
    ...(createFolder && {
      createFolder: (parentId, name, call) => runner('createFolder', call, (call) => createFolder(parentId, name, call))
    }),
    ...(downloadUrl && {
      downloadUrl: (id, call) => runner('downloadUrl', call, (call) => downloadUrl(id, call))
    }),
    ...(position && { position: (scope, call) => runner('position', call, (call) => position(scope, call)) }),
    ...(changes && {
      changes: (scope, since, call) => runner('changes', call, (call) => changes(scope, since, call))
    }),
    ...(isCurrent && {
      isCurrent: (folderId, mark, call) => runner('isCurrent', call, (call) => isCurrent(folderId, mark, call))
    }),
    ...(waitForChange && {
      waitForChange: (freshness, call) => runner('waitForChange', call, (call) => waitForChange(freshness, call))
    })
  }
}

/** Handles errors of an upload's source while layers wait, and destroys the source if they reject. */
async function destroySourceOnError<T>(source: Readable, upload: () => Promise<T>): Promise<T> {
  source.on('error', () => {})
  try {
    return await upload()
  } catch (error) {
    source.destroy()
    throw error
  }
}

/**
 * Adds details to each error, for the log. Also covers the body of a download, which may fail later.
 *
 * @param detailsOf called with the signal of a call that has failed
 */
export function withDetails(next: CallRunner, detailsOf: (signal: AbortSignal) => FailureDetails): CallRunner {
  return async (method, call, run) => {
    const addContext = (error: unknown): void => {
      if (error instanceof StorageError) error.about(detailsOf(call.signal))
    }
    try {
      const result = await next(method, call, run)
      // Before the listeners of the reader, which may log the error.
      if (method === 'download') (result as Download).body.prependListener('error', addContext)
      return result
    } catch (error) {
      addContext(error)
      throw error
    }
  }
}

/**
 * Encloses all layers that may fail: every error is a `StorageError`. Other errors of a backend (a host application's
 * own provider may throw anything) become `PROVIDER_ERROR` with the original as the cause.
 */
export function withStorageErrors(next: CallRunner): CallRunner {
  return async (method, call, run) => {
    try {
      return await next(method, call, run)
    } catch (error) {
      if (error instanceof StorageError || call.signal.aborted) throw error
      throw new StorageError('PROVIDER_ERROR', 'The provider failed with an unknown error.', { cause: error })
    }
  }
}

const SPAN_NAMES: Readonly<Record<Exclude<BackendMethod, 'waitForChange'>, string>> = {
  listFolder: 'cloud_storage.list_folder',
  stat: 'cloud_storage.stat',
  download: 'cloud_storage.download',
  upload: 'cloud_storage.upload',
  remove: 'cloud_storage.remove',
  createFolder: 'cloud_storage.create_folder',
  downloadUrl: 'cloud_storage.download_url',
  account: 'cloud_storage.account',
  position: 'cloud_storage.position',
  changes: 'cloud_storage.changes',
  isCurrent: 'cloud_storage.is_current'
}

type Outcome<T> = { readonly result: T } | { readonly abortError: unknown }

/**
 * Runs each call in a span, except waits for announcements, which last for minutes. Around the resilience layers, the span covers all attempts and waits. The span of a download
 * ends when its body begins.
 *
 * @param provider the provider's name in the spans
 */
export function withSpans(next: CallRunner, tracing: Tracing, provider: string): CallRunner {
  const attributes = { 'cloud_storage.provider': provider }
  return async (method, call, run) => {
    if (method === 'waitForChange') return await next(method, call, run)
    type Result = Awaited<ReturnType<typeof run>>
    const outcome = await tracing.span(SPAN_NAMES[method], attributes, async (): Promise<Outcome<Result>> => {
      try {
        return { result: await next(method, call, run) }
      } catch (error) {
        // An aborted call says nothing about the provider's health: its span must not be an error.
        if (call.signal.aborted) return { abortError: error }
        throw error
      }
    })
    if ('abortError' in outcome) throw outcome.abortError
    return outcome.result
  }
}

/** Holds `permit` during each call, and until the body of a download has closed. */
export function withPermit(backend: StorageBackend, permit: Permit): StorageBackend {
  return interceptCalls(backend, async (method, call, run) => {
    const release = permit.hold()
    try {
      const result = await run(call)
      if (method === 'download') (result as Download).body.once('close', permit.hold())
      return result
    } finally {
      release()
    }
  })
}
