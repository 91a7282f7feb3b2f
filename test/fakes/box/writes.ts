import type { Files } from 'box-node-sdk/schemas/files'
import type { BoxBody } from './body.ts'
import type { BoxCall } from './call.ts'
import { BoxFailure, BoxMistake } from './failure.ts'
import type { BoxFields } from './fields.ts'
import type { FakeBoxKnobs } from './knobs.ts'
import { checkName } from './name.ts'
import type { FakeBoxNode } from './node.ts'
import { miniResource } from './resource.ts'
import type { FakeBoxTree } from './tree.ts'
import type { Wire } from './wire.ts'

/** The location of a new file. */
export interface BoxLocation {
  readonly name: string
  readonly parent: string
}

/** The times of a file that a client sends. */
export interface BoxTimes {
  readonly contentCreated?: Date
  readonly contentModified?: Date
}

export const TIME_NAMES = ['content_created_at', 'content_modified_at']

export function parseTimes(body: BoxBody | undefined): BoxTimes {
  const contentCreated = body?.time('content_created_at')
  const contentModified = body?.time('content_modified_at')
  return { ...(contentCreated && { contentCreated }), ...(contentModified && { contentModified }) }
}

/** Changes of the tree, with the rights and limits that Box checks. */
export class FakeBoxWrites {
  readonly #knobs: FakeBoxKnobs

  constructor(knobs: FakeBoxKnobs) {
    this.#knobs = knobs
  }

  /** Makes all checks for a new file that do not need its content. */
  checkFile(call: BoxCall, { name, parent }: BoxLocation, bytes: number, parameter = 'parent'): FakeBoxNode {
    checkName(name)
    const folder = call.requirePermissions(call.node('folder', parent, parameter), 'can_upload')
    const existing = call.tree.childNamed(folder, name)
    // Box returns the conflicting item as an object here, and in an array when a folder is created.
    if (existing !== undefined) throw nameInUse(miniResource(existing))
    this.checkSize(call.tree, bytes)
    return folder
  }

  /** Makes the same checks for a new version of a file, and its new name if given. */
  checkVersion(call: BoxCall, id: string, name: string | undefined, bytes: number): FakeBoxNode {
    const node = call.requirePermissions(call.node('file', id), 'can_upload')
    call.checkEtag(node)
    if (name !== undefined) {
      checkName(name)
      const existing = call.tree.childNamed(call.tree.get(node.parent ?? '', 'folder'), name)
      if (existing !== undefined && existing !== node) throw nameInUse(miniResource(existing))
    }
    this.checkSize(call.tree, bytes)
    return node
  }

  /** Old versions count too, so new content always takes more space. */
  checkSize(tree: FakeBoxTree, bytes: number): void {
    const { quotaBytes = Infinity, maxUploadBytes } = this.#knobs
    if (bytes > maxUploadBytes) throw new BoxFailure({ code: 'file_size_limit_exceeded' })
    if (bytes > 0 && tree.usedBytes() + bytes > quotaBytes) throw new BoxFailure({ code: 'storage_limit_exceeded' })
  }

  create(call: BoxCall, location: BoxLocation, times: BoxTimes, content: Buffer, parameter?: string): FakeBoxNode {
    const parent = this.checkFile(call, location, content.length, parameter)
    return call.tree.addFile({ ...times, name: location.name, parent, content })
  }

  write(call: BoxCall, id: string, name: string | undefined, times: BoxTimes, content: Buffer): FakeBoxNode {
    const node = this.checkVersion(call, id, name, content.length)
    if (name !== undefined && name !== node.name) call.tree.rename(node, name)
    call.tree.write(node, content, times.contentModified)
    return node
  }

  createFolder(call: BoxCall): void {
    const fields = call.fields('folder')
    const body = call.json(['name', 'parent'])
    const name = body.requiredText('name')
    const id = body.parent()
    if (id === undefined) throw new BoxMistake('no parent')
    checkName(name)
    const parent = call.requirePermissions(call.node('folder', id, 'parent'), 'can_upload')
    const existing = call.tree.childNamed(parent, name)
    if (existing !== undefined) throw nameInUse([miniResource(existing)])
    call.send(201, call.item(call.tree.addFolder({ name, parent }), fields))
  }

  /** Renames or moves an item. */
  update(call: BoxCall, type: 'file' | 'folder'): void {
    const fields = call.fields(type)
    const body = call.json(['name', 'parent'])
    const node = call.requirePermissions(call.node(type), 'can_rename')
    call.checkEtag(node)
    const { tree } = call
    const { parent: id = node.parent ?? '', name = node.name } = { parent: body.parent(), name: body.text('name') }
    const parent = call.node('folder', id, 'parent')
    if (name !== node.name) checkName(name)
    if (parent.id !== node.parent) call.requirePermissions(parent, 'can_upload')
    if (type === 'folder' && [...tree.path(parent), parent].includes(node)) {
      throw new BoxFailure({ code: 'cyclical_folder_structure' })
    }
    const existing = tree.childNamed(parent, name)
    if (existing !== undefined && existing !== node)
      throw nameInUse(type === 'folder' ? [miniResource(existing)] : miniResource(existing))
    if (parent.id !== node.parent) tree.move(node, parent)
    if (name !== node.name) tree.rename(node, name)
    call.send(200, call.item(node, fields))
  }

  delete(call: BoxCall, type: 'file' | 'folder' | 'web_link'): void {
    const isRecursive = call.flag('recursive')
    const node = call.requirePermissions(call.node(type), 'can_delete')
    call.checkEtag(node)
    if (type === 'folder' && !isRecursive && call.tree.children(node).length > 0) {
      throw new BoxFailure({ code: 'folder_not_empty' })
    }
    call.tree.trash(node)
    call.response.writeHead(204).end()
  }
}

/** Sends the response of each upload. @param status 201 for a new file, 200 for a new version in one piece */
export function sendFile(call: BoxCall, node: FakeBoxNode, fields: BoxFields, status: 200 | 201 = 201): void {
  call.send(status, { total_count: 1, entries: [call.item(node, fields)] } satisfies Wire<Files>)
}

const nameInUse = (conflicts: unknown) => new BoxFailure({ code: 'item_name_in_use', contextInfo: { conflicts } })
