import type {
  Account,
  Call,
  Capabilities,
  Download,
  DownloadCall,
  DownloadUrl,
  DownloadUrlCall,
  ListCall,
  StorageBackend,
  UploadCall
} from '../../core/backend.ts'
import type { FeedPage, PageFreshness } from '../../core/change-feed.ts'
import type { Entry, EntryPage } from '../../core/entry.ts'
import { Diagnosis, StorageError } from '../../errors.ts'
import type { NotFoundCode } from './errors.ts'
import { requireName } from './names.ts'
import { requireMediaType, uploadFrom, type UploadSource } from './upload.ts'
import type { ParsedTarget } from './upload-target.ts'

/**
 * The operations of a provider, as functions of an open session. Ids, names, limits, media types and conditions are
 * valid when an operation is called, and its signal is not aborted.
 */
export interface Operations<Session, Id, Folder> {
  readonly provider: string
  readonly capabilities: Capabilities
  /** @throws StorageError `missing` for an id that the provider cannot have issued */
  readonly parseId: (id: string, missing: NotFoundCode) => Id
  /** @param id `null` is the root @throws StorageError `FOLDER_NOT_FOUND` */
  readonly parseFolderId: (id: string | null) => Folder
  readonly listFolder: (session: Session, folder: Folder, call: ListCall) => Promise<EntryPage>
  readonly stat: (session: Session, id: Id, call: Call) => Promise<Entry>
  readonly download: (session: Session, id: Id, call: DownloadCall) => Promise<Download>
  readonly upload: (
    session: Session,
    target: ParsedTarget<Id, Folder>,
    source: UploadSource,
    call: UploadCall
  ) => Promise<Entry>
  readonly remove: (session: Session, id: Id, call: Call) => Promise<void>
  readonly createFolder: (session: Session, parent: Folder, name: string, call: Call) => Promise<Entry>
  readonly downloadUrl?: (session: Session, id: Id, call: DownloadUrlCall) => Promise<DownloadUrl>
  readonly account: (session: Session, call: Call) => Promise<Account>
  readonly position?: (session: Session, scope: string, call: Call) => Promise<string>
  readonly changes?: (session: Session, scope: string, position: string, call: Call) => Promise<FeedPage>
  readonly isCurrent?: (session: Session, folder: Folder, mark: string, call: Call) => Promise<boolean>
  readonly waitForChange?: (session: Session, freshness: PageFreshness, call: Call) => Promise<boolean>
}

/** Returns a backend that checks the arguments of each call, and passes them to the operation with the session. */
export function createBackend<Session, Id, Folder>(
  operations: Operations<Session, Id, Folder>,
  session: Session
): StorageBackend {
  const { provider, capabilities, parseId, parseFolderId, downloadUrl, position, changes, isCurrent, waitForChange } =
    operations
  const onObject =
    <ObjectCall extends Call, Result>(run: (session: Session, id: Id, call: ObjectCall) => Promise<Result>) =>
    async (id: string, call: ObjectCall): Promise<Result> => {
      call.signal.throwIfAborted()
      return run(session, parseId(id, 'OBJECT_NOT_FOUND'), call)
    }
  return {
    provider,
    capabilities,
    listFolder: async (folderId, call) => {
      call.signal.throwIfAborted()
      requireLimit(call.limit)
      return operations.listFolder(session, parseFolderId(folderId), call)
    },
    stat: onObject(operations.stat),
    download: onObject(operations.download),
    upload: (target, body, call) =>
      uploadFrom(body, call, async (source) => {
        const { mimeType } = target
        requireMediaType(mimeType)
        if ('id' in target) {
          return operations.upload(session, { id: parseId(target.id, 'OBJECT_NOT_FOUND'), mimeType }, source, call)
        }
        const { parentId, name } = target
        requireName(name)
        return operations.upload(session, { parent: parseFolderId(parentId), name, mimeType }, source, call)
      }),
    remove: onObject(operations.remove),
    createFolder: async (parentId, name, call) => {
      call.signal.throwIfAborted()
      requireName(name)
      return operations.createFolder(session, parseFolderId(parentId), name, call)
    },
    ...(downloadUrl !== undefined && { downloadUrl: onObject(downloadUrl) }),
    account: async (call) => {
      call.signal.throwIfAborted()
      return operations.account(session, call)
    },
    ...(position !== undefined && {
      position: async (scope, call) => {
        call.signal.throwIfAborted()
        return position(session, scope, call)
      }
    }),
    ...(changes !== undefined && {
      changes: async (scope, since, call) => {
        call.signal.throwIfAborted()
        return changes(session, scope, since, call)
      }
    }),
    ...(isCurrent !== undefined && {
      isCurrent: async (folderId, mark, call) => {
        call.signal.throwIfAborted()
        return isCurrent(session, parseFolderId(folderId), mark, call)
      }
    }),
    ...(waitForChange !== undefined && {
      waitForChange: async (freshness, call) => {
        call.signal.throwIfAborted()
        return waitForChange(session, freshness, call)
      }
    })
  }
}

/** Validates a page size. @throws StorageError `INVALID_REQUEST` unless it is 1 to 1000 */
export function requireLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new StorageError('INVALID_REQUEST', 'The limit must be 1 to 1000 entries.')
  }
}

/**
 * Imports an optional peer dependency at its first use.
 *
 * @param packageName the package to install if it is missing
 * @param sdk a literal `import()`, so that bundlers and readers see the package
 * @throws StorageError `SDK_MISSING`; its cause names the package, for the log
 */
export async function importSdk<T>(packageName: string, sdk: Promise<T>): Promise<T> {
  try {
    return await sdk
  } catch (error) {
    const hint = new Diagnosis(
      `Cannot load "${packageName}". Install it next to this package: npm install ${packageName}`,
      { cause: error }
    )
    throw new StorageError('SDK_MISSING', 'A package for this provider is missing on the server.', { cause: hint })
  }
}
