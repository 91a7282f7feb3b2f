import type { Readable } from 'node:stream'
import type { Download, StorageBackend } from '../core/backend.ts'
import type { Slot } from '../core/user-limits.ts'

/** The methods of a backend that make remote calls. */
export type BackendCall =
  'listFolder' | 'stat' | 'download' | 'upload' | 'remove' | 'createFolder' | 'downloadUrl' | 'account'

/** Runs one call of a backend, with the caller's signal or one of its own. */
export type Around = <T>(call: BackendCall, signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>) => Promise<T>

/** Wraps each call of a backend in `around`. Methods that the backend lacks stay absent. */
export function aroundEach(backend: StorageBackend, around: Around): StorageBackend {
  return {
    provider: backend.provider,
    capabilities: backend.capabilities,
    listFolder: (folderId, call) =>
      around('listFolder', call.signal, (signal) => backend.listFolder(folderId, { ...call, signal })),
    stat: (id, call) => around('stat', call.signal, (signal) => backend.stat(id, { ...call, signal })),
    download: (id, call) => around('download', call.signal, (signal) => backend.download(id, { ...call, signal })),
    account: (call) => around('account', call.signal, (signal) => backend.account({ ...call, signal })),
    ...(backend.upload && {
      upload: (target, body, call) =>
        endingSource(body, () =>
          around('upload', call.signal, (signal) => must(backend.upload?.(target, body, { ...call, signal })))
        )
    }),
    ...(backend.remove && {
      remove: (id, call) => around('remove', call.signal, (signal) => must(backend.remove?.(id, { ...call, signal })))
    }),
    ...(backend.createFolder && {
      createFolder: (parentId, name, call) =>
        around('createFolder', call.signal, (signal) =>
          must(backend.createFolder?.(parentId, name, { ...call, signal }))
        )
    }),
    ...(backend.downloadUrl && {
      downloadUrl: (id, call) =>
        around('downloadUrl', call.signal, (signal) => must(backend.downloadUrl?.(id, { ...call, signal })))
    })
  }
}

/** Holds `slot` during each call, and until the body of a download has closed. */
export function withSlot(backend: StorageBackend, slot: Slot): StorageBackend {
  return aroundEach(backend, async (call, signal, run) => {
    const release = slot.hold()
    try {
      const answer = await run(signal)
      if (call === 'download') (answer as Download).body.once('close', slot.hold())
      return answer
    } finally {
      release()
    }
  })
}

const ignore = (): void => {}

/** Handles errors of an upload's source while layers wait, and destroys the source if they reject. */
async function endingSource<T>(source: Readable, upload: () => Promise<T>): Promise<T> {
  // Once for all layers: Node warns of a leak above ten listeners.
  if (!source.listeners('error').includes(ignore)) source.on('error', ignore)
  try {
    return await upload()
  } catch (error) {
    source.destroy()
    throw error
  }
}

/** The method existed when the layer was applied. */
function must<T>(answer: Promise<T> | undefined): Promise<T> {
  if (answer === undefined) throw new TypeError('A backend must not lose a method after layers are applied')
  return answer
}
