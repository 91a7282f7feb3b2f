import { Readable } from 'node:stream'
import type { Entry, EntryPage } from '../../../src/core/entry.ts'
import type { Capabilities, ListCall, StorageBackend } from '../../../src/core/backend.ts'

const READ_ONLY: Capabilities = {
  paging: 'native',
  kindFilter: 'native',
  rangeDownload: 'unsupported',
  upload: 'unsupported',
  createOnly: 'unsupported',
  updateIfMatch: 'unsupported',
  atomicReplace: 'unsupported',
  remove: 'unsupported',
  createFolder: 'unsupported',
  downloadUrl: 'unsupported'
}

export function entry(name: string, overrides: Partial<Entry> = {}): Entry {
  return {
    id: name,
    parentId: null,
    driveId: null,
    name,
    kind: 'file',
    mimeType: null,
    size: 1,
    createdAt: null,
    modifiedAt: null,
    version: null,
    hash: null,
    exportFormats: [],
    target: null,
    webUrl: null,
    thumbnailUrl: null,
    path: null,
    can: { list: null, download: null, write: null },
    ...overrides
  }
}

export function page(entries: readonly Entry[], next: string | null = null): EntryPage {
  return {
    folder: { id: null, name: null, parentId: null },
    entries,
    next,
    complete: next === null,
    reason: next === null ? null : 'more'
  }
}

/** A folder with `count` pages: the cursor of the third page is `p3`, and so is the name of its only entry. */
export function pages(count: number): ListFolder {
  return async (_folder, { cursor = 'p1' }) => {
    const nextPage = Number(cursor.slice(1)) + 1
    return page([entry(cursor)], nextPage > count ? null : `p${nextPage}`)
  }
}

type ListFolder = (folderId: string | null, call: ListCall) => Promise<EntryPage>

/** A backend with scripted listings that records its calls. */
export class ScriptedBackend implements StorageBackend {
  readonly provider = 'scripted'
  readonly capabilities = READ_ONLY
  readonly listCalls: { folderId: string | null; call: ListCall }[] = []
  list: ListFolder = async () => page([])
  declare position?: NonNullable<StorageBackend['position']>
  declare changes?: NonNullable<StorageBackend['changes']>
  declare isCurrent?: NonNullable<StorageBackend['isCurrent']>
  declare waitForChange?: NonNullable<StorageBackend['waitForChange']>
  account: StorageBackend['account'] = async () => ({ id: 'account', name: 'Account', email: null, quota: null })

  listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    this.listCalls.push({ folderId, call })
    return this.list(folderId, call)
  }

  stat(id: string): Promise<Entry> {
    return Promise.resolve(entry(id))
  }

  download(): ReturnType<StorageBackend['download']> {
    const body = Readable.from([Buffer.from('x')])
    return Promise.resolve({ body, size: 1, range: null, mimeType: null, etag: null, modifiedAt: null })
  }
}
