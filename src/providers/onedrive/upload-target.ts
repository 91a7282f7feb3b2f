import type { UploadCall, UploadTarget } from '../../domain/storage-backend.ts'
import { requireName } from '../shared/file-name.ts'
import { failure, type Missing } from '../shared/http-failure.ts'
import { type ItemId, namedPathOf, parseItemId, pathOf, ROOT } from './ids.ts'
import { type GraphServer, look, ownDriveId } from './server.ts'

/** Where an upload goes, and how Graph is to treat what is there. */
export interface Destination {
  /** The item, or the folder of the name. */
  readonly at: ItemId
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

/** What can be in a tag that stands in no quotes: nothing that would be a wildcard, or several. */
const TAG = /^[\w.!:%+/=~-]{1,512}$/
/** The tags of SharePoint, which it gives in quotes. */
const SHAREPOINT_TAG = /^(?:c:)?\{[\da-f-]{1,64}\},\d{1,15}$/i

/** The path of the item, whether or not there is one. */
export function destinationPath({ at, name }: Pick<Destination, 'at' | 'name'>): string {
  return name === null ? pathOf(at) : namedPathOf(at, name)
}

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
    return { ...common, at: id, name: null, isInOwnRoot: false, missing: 'OBJECT_NOT_FOUND' }
  }
  const { parentId, name } = target
  requireName(name)
  const parent = parseItemId(parentId ?? ROOT, 'FOLDER_NOT_FOUND')
  // What is stored tells its drive: whether that is the user's own must not be asked afterwards.
  const isInOwnRoot = parent.drive === null
  if (!isInOwnRoot) await ownDriveId(server, call)
  return { ...common, at: parent, name, isInOwnRoot, missing: 'FOLDER_NOT_FOUND' }
}

/**
 * The condition, with the tag as Microsoft gave it: that of SharePoint in quotes, that of a personal account bare.
 *
 * @throws StorageError `PRECONDITION_FAILED` for what is no tag, and so nobody's version
 */
function preconditionOf(ifMatch: string | undefined): Record<string, string> {
  if (ifMatch === undefined) return {}
  if (SHAREPOINT_TAG.test(ifMatch)) return { 'if-match': `"${ifMatch}"` }
  if (!TAG.test(ifMatch)) throw failure('PRECONDITION_FAILED')
  return { 'if-match': ifMatch }
}
