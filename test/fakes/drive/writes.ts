import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'
import { DriveFailure, DriveMistake, invalid } from './failure.ts'
import type { FakeDriveKnobs } from './knobs.ts'
import type { DriveMetadata } from './metadata.ts'
import { DRIVE_FOLDER, DRIVE_SHORTCUT, isNative, type DriveCapabilities, type FakeDriveNode } from './node.ts'
import { capabilitiesOf } from './resource.ts'
import type { DriveView } from './view.ts'

export interface DriveMedia {
  readonly content: Buffer
  /** The type declared by the upload, if any. */
  readonly mimeType: string | undefined
}

/** Changes of the tree, with the rights and limits that Drive checks. */
export class FakeDriveWrites {
  readonly #knobs: FakeDriveKnobs
  /** The permitted use of each generated ID: `files` or `shortcuts`. */
  readonly #generated = new Map<string, string>()

  constructor(knobs: FakeDriveKnobs) {
    this.#knobs = knobs
  }

  generateIds(view: DriveView, count: number, space: string, type: string): drive_v3.Schema$GeneratedIds {
    if (space !== 'drive') throw invalid('space')
    if (type !== 'files' && type !== 'shortcuts') throw invalid('type')
    const ids = Array.from({ length: count }, () => view.tree.newId())
    for (const id of ids) this.#generated.set(id, type)
    return { kind: 'drive#generatedIds', space, ids }
  }

  /** Makes all checks that do not need the content; `bytes` is its announced length. */
  checkCreate(view: DriveView, metadata: DriveMetadata, bytes: number): FakeDriveNode {
    const parent = view.parent(metadata.parent ?? 'root')
    this.#checkId(view, metadata)
    if (parent.driveId === undefined) this.#checkQuota(view, bytes)
    return parent
  }

  create(view: DriveView, metadata: DriveMetadata, media?: DriveMedia): FakeDriveNode {
    const parent = this.checkCreate(view, metadata, media?.content.length ?? 0)
    const { tree } = view
    const { name = 'Untitled', targetId, trashed, mimeType: declaredType, parent: _, ...rest } = metadata
    const mimeType = declaredType ?? media?.mimeType ?? 'application/octet-stream'
    const seed = { ...rest, name, parent, openedWithApp: true }
    if (!isNative(mimeType)) return tree.addFile({ ...seed, mimeType, content: media?.content ?? '' })
    if (media !== undefined) throw new DriveMistake(`content for ${mimeType}`)
    if (mimeType === DRIVE_FOLDER) return tree.addFolder(seed)
    if (mimeType !== DRIVE_SHORTCUT) return tree.addDocument({ ...seed, mimeType })
    if (targetId === undefined) throw invalid('shortcutDetails.targetId', 'required')
    return tree.addShortcut({ ...seed, target: view.node(targetId) })
  }

  /** `bytes` is the announced length, or undefined if there is no content. */
  checkUpdate(view: DriveView, id: string, metadata: DriveMetadata, bytes: number | undefined): FakeDriveNode {
    const required: (keyof DriveCapabilities)[] = []
    if (metadata.name !== undefined) required.push('canRename')
    if (metadata.trashed !== undefined) required.push(metadata.trashed ? 'canTrash' : 'canUntrash')
    if (metadata.mimeType !== undefined || metadata.modified !== undefined) required.push('canEdit')
    if (bytes !== undefined) required.push('canModifyContent')
    const node = view.writable(id, ...required)
    if (bytes === undefined) return node
    if (node.content === undefined) throw new DriveMistake(`content for ${node.mimeType}`)
    if (node.driveId === undefined) this.#checkQuota(view, bytes - node.content.length)
    return node
  }

  update(view: DriveView, id: string, metadata: DriveMetadata, query: URLSearchParams, media?: DriveMedia) {
    const node = this.checkUpdate(view, id, metadata, media?.content.length)
    const { tree } = view
    const { name = node.name, trashed = node.trashed } = metadata
    const mimeType = metadata.mimeType ?? media?.mimeType ?? node.mimeType
    const newParent = resolveNewParent(view, node, query.get('addParents'), query.get('removeParents'))
    // A folder stays a folder, and an item with content cannot become one without.
    if (mimeType !== node.mimeType && (isNative(mimeType) || node.content === undefined)) throw invalid('mimeType')
    if (media !== undefined) tree.write(node, media.content)
    if (newParent !== undefined) tree.move(node, newParent)
    tree.touch(Object.assign(node, { name, trashed, mimeType, modified: metadata.modified ?? node.modified }))
    return node
  }

  delete(view: DriveView, id: string): void {
    view.tree.remove(view.writable(id, 'canDelete'))
  }

  #checkId({ tree }: DriveView, { id, mimeType = '' }: DriveMetadata): void {
    if (id === undefined) return
    const type = mimeType === DRIVE_SHORTCUT ? 'shortcuts' : 'files'
    if (tree.find(id) !== undefined) throw new DriveFailure({ reason: 'fileIdInUse' })
    // Native documents cannot have an ID chosen by the client; folders can.
    const isDocument = isNative(mimeType) && mimeType !== DRIVE_FOLDER && mimeType !== DRIVE_SHORTCUT
    if (isDocument || this.#generated.get(id) !== type) {
      throw invalid('file.id', 'invalid', 'The provided file ID is not usable.')
    }
  }

  #checkQuota({ tree }: DriveView, addedBytes: number): void {
    const { quotaBytes = Infinity } = this.#knobs
    if (addedBytes > 0 && tree.usedBytes() + addedBytes > quotaBytes)
      throw new DriveFailure({ reason: 'storageQuotaExceeded' })
  }
}

/** Returns the new parent. A file has one parent, so adding one requires removing the other. */
function resolveNewParent(
  view: DriveView,
  node: FakeDriveNode,
  add: string | null,
  remove: string | null
): FakeDriveNode | undefined {
  if (add === null && remove === null) return undefined
  if (add === null) throw new DriveMistake('removeParents without addParents')
  if (add.includes(',')) throw new DriveFailure({ reason: 'cannotAddParent' })
  const folder = view.parent(add)
  if (folder.id === node.parent) return undefined
  if (remove === null || view.tree.find(remove)?.id !== node.parent) {
    throw new DriveFailure({ reason: 'cannotAddParent' })
  }
  if (capabilitiesOf(node).canEdit !== true) throw new DriveFailure({ reason: 'insufficientFilePermissions' })
  if (folder.driveId !== node.driveId) throw new DriveMistake('a move to another drive, which the fake does not know')
  for (let at: FakeDriveNode | undefined = folder; at !== undefined; at = view.tree.find(at.parent ?? '')) {
    if (at === node) throw invalid('addParents', 'invalid', 'The specified parent is below the file.')
  }
  return folder
}
