import type { UploadCall } from '../../core/backend.ts'
import type { Entry } from '../../core/entry.ts'
import { isStorageError, StorageError } from '../../errors.ts'
import { failure } from './errors.ts'

/** The target of an upload, with parsed ids and a valid name: an existing object, or a name in a folder. */
export type ParsedTarget<Id, Folder> =
  | { readonly id: Id; readonly mimeType: string | undefined }
  | { readonly parent: Folder; readonly name: string; readonly mimeType: string | undefined }

/** The properties of an existing object that decide whether an upload may replace it. */
export interface ReplacedObject {
  readonly version: string | null
  /** False for folders, documents without bytes, shortcuts and links. */
  readonly hasContent: boolean
}

export function toReplacedObject({ version, size }: Entry): ReplacedObject {
  return { version, hasContent: size !== null }
}

/**
 * Gets the object that an upload by id replaces, and checks the conditions of the upload.
 *
 * @throws StorageError `PRECONDITION_FAILED` for another version or, with `ifMatch`, a missing object;
 * `ALREADY_EXISTS`; `INVALID_REQUEST` for a folder; `UNSUPPORTED` for an object without content; the errors of `get`
 */
export async function getReplaced<Item>(
  get: () => Promise<Item>,
  toEntry: (item: Item) => Entry,
  call: UploadCall
): Promise<{ readonly item: Item; readonly entry: Entry }> {
  const item = await get().catch((error: unknown) => {
    const isGone = call.ifMatch !== undefined && isStorageError(error, 'OBJECT_NOT_FOUND')
    throw isGone ? failure('PRECONDITION_FAILED') : error
  })
  const entry = toEntry(item)
  if (entry.kind === 'folder') throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
  if (call.ifNoneMatch === '*') throw failure('ALREADY_EXISTS')
  const { version, hasContent } = toReplacedObject(entry)
  if (call.ifMatch !== undefined && version !== call.ifMatch) throw failure('PRECONDITION_FAILED')
  if (!hasContent) throw withoutContent()
  return { item, entry }
}

/**
 * Checks the conditions of an upload by name.
 *
 * @param existing the object with this name; `null` if there is none
 * @throws StorageError `PRECONDITION_FAILED`, `ALREADY_EXISTS`, `UNSUPPORTED`
 */
export function checkNameConditions(existing: ReplacedObject | null, { ifMatch, ifNoneMatch }: UploadCall): void {
  if (ifMatch !== undefined) {
    if (existing?.version !== ifMatch) throw failure('PRECONDITION_FAILED')
    if (!existing.hasContent) throw withoutContent()
  } else if (existing !== null && (ifNoneMatch === '*' || !existing.hasContent)) {
    throw failure('ALREADY_EXISTS')
  }
}

function withoutContent(): StorageError {
  return failure('UNSUPPORTED', 'The item has no file content that an upload could replace')
}
