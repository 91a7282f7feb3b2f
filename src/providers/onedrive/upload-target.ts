import type { UploadCall, UploadTarget } from '../../domain/storage-backend.ts'
import { requireName } from '../shared/file-name.ts'
import { failure, type Missing } from '../shared/http-failure.ts'
import { type ItemId, namedPathOf, parseItemId, pathOf, ROOT } from './ids.ts'
import { type GraphServer, look, ownDriveId } from './server.ts'

/** The destination of an upload, and how Graph handles an existing item. */
export interface Destination {
  /** The item, or the parent folder of `name`. */
  readonly at: ItemId
  /** `null` if the item is identified by its id. */
  readonly name: string | null
  /** Whether the destination is a child of the user's own root. */
  readonly isInOwnRoot: boolean
  readonly missing: Missing
  readonly behavior: 'fail' | 'replace'
  /** The precondition. */
  readonly headers: Readonly<Record<string, string>>
  readonly mimeType: string
}

/** Characters of an unquoted ETag: excludes wildcards and lists. */
const TAG = /^[\w.!:%+/=~-]{1,512}$/
/** SharePoint's ETags, which it sends in quotes. */
const SHAREPOINT_TAG = /^(?:c:)?\{[\da-f-]{1,64}\},\d{1,15}$/i

/** Returns the path of the item, which need not exist. */
export function destinationPath({ at, name }: Pick<Destination, 'at' | 'name'>): string {
  return name === null ? pathOf(at) : namedPathOf(at, name)
}

/**
 * Finds the destination of an upload. Graph itself checks the conditions (an unused name, a matching ETag) when the
 * content is stored.
 *
 * @throws StorageError `PRECONDITION_FAILED`, `ALREADY_EXISTS`, `INVALID_REQUEST`
 */
export async function findDestination(
  server: GraphServer,
  target: UploadTarget,
  call: UploadCall
): Promise<Destination> {
  const { ifMatch, ifNoneMatch } = call
  const isNew = ifNoneMatch === '*'
  const common = {
    behavior: isNew ? 'fail' : 'replace',
    headers: preconditionOf(ifMatch),
    mimeType: target.mimeType ?? 'application/octet-stream'
  } as const
  if ('id' in target) {
    const id = parseItemId(target.id, 'OBJECT_NOT_FOUND')
    if (isNew) {
      await look(server, id, call, 'OBJECT_NOT_FOUND')
      throw failure('ALREADY_EXISTS')
    }
    await ownDriveId(server, call)
    return { ...common, at: id, name: null, isInOwnRoot: false, missing: 'OBJECT_NOT_FOUND' }
  }
  const { parentId, name } = target
  requireName(name)
  const parent = parseItemId(parentId ?? ROOT, 'FOLDER_NOT_FOUND')
  // Find the user's own drive before the write, since the entry needs it: a completed write must not fail.
  const isInOwnRoot = parent.drive === null
  if (!isInOwnRoot) await ownDriveId(server, call)
  return { ...common, at: parent, name, isInOwnRoot, missing: 'FOLDER_NOT_FOUND' }
}

/**
 * Returns the precondition with the ETag as Microsoft sends it: quoted for SharePoint, bare for personal accounts.
 *
 * @throws StorageError `PRECONDITION_FAILED` for an invalid ETag, which matches no version
 */
function preconditionOf(ifMatch: string | undefined): Record<string, string> {
  if (ifMatch === undefined) return {}
  if (SHAREPOINT_TAG.test(ifMatch)) return { 'if-match': `"${ifMatch}"` }
  if (!TAG.test(ifMatch)) throw failure('PRECONDITION_FAILED')
  return { 'if-match': ifMatch }
}
