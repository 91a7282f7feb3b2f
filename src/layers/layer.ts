import type { Readable } from 'node:stream'
import type { Download, StorageBackend } from '../core/backend.ts'
import type { Permit } from '../core/user-limits.ts'

/** The methods of a backend that make remote calls. */
export type BackendMethod =
  'listFolder' | 'stat' | 'download' | 'upload' | 'remove' | 'createFolder' | 'downloadUrl' | 'account'

/** Runs one call of a backend, with the caller's signal or one of its own. */
export type CallInterceptor = <T>(
  method: BackendMethod,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>
) => Promise<T>

/** Wraps each call of a backend in `around`. Methods that the backend lacks stay absent. */
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

/** Holds `slot` during each call, and until the body of a download has closed. */
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
