import type { UploadCall, UploadTarget } from '../../domain/storage-backend.ts'
import { requireName } from '../shared/file-name.ts'
import { failure, type Missing } from '../shared/http-failure.ts'
import { namedPathOf, parseItemId, pathOf, ROOT } from './ids.ts'
import { type GraphServer, look, ownDriveId } from './server.ts'

/** Where an upload goes, and how Graph is to treat what is there. */
export interface Destination {
  /** The path of the item, whether or not there is one. */
  readonly path: string
  /** `null` where the item is known by its id. */
  readonly name: string | null
  /** It is named as a child of the user's own root. */
  readonly isInOwnRoot: boolean
  readonly missing: Missing
  readonly behavior: 'fail' | 'replace'
  /** The precondition. */
  readonly headers: Readonly<Record<string, string>>
  readonly mimeType: string
}

/** What can be in a tag (RFC 9110, 8.8.3). */
const TAG = /^[\x21\x23-\x7e]{1,512}$/

/**
 * Where an upload goes. Graph itself sees to the conditions: a name is taken or free, and a tag the one that is there,
 * at the moment when the content is stored.
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
    return { ...common, path: pathOf(id), name: null, isInOwnRoot: false, missing: 'OBJECT_NOT_FOUND' }
  }
  const { parentId, name } = target
  requireName(name)
  const parent = parseItemId(parentId ?? ROOT, 'FOLDER_NOT_FOUND')
  // What is stored tells its drive: whether that is the user's own must not be asked afterwards.
  const isInOwnRoot = parent.drive === null
  if (!isInOwnRoot) await ownDriveId(server, call)
  return { ...common, path: namedPathOf(parent, name), name, isInOwnRoot, missing: 'FOLDER_NOT_FOUND' }
}

/** @throws StorageError `PRECONDITION_FAILED` for what is no tag, and so nobody's version */
function preconditionOf(ifMatch: string | undefined): Record<string, string> {
  if (ifMatch === undefined) return {}
  if (!TAG.test(ifMatch)) throw failure('PRECONDITION_FAILED')
  return { 'if-match': `"${ifMatch}"` }
}
