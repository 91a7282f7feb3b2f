import type { files } from 'dropbox'
import { DropboxFailure, endpointError } from './failure.ts'
import { contentHash } from './hash.ts'
import type { FakeDropboxKnobs } from './knobs.ts'
import type { FakeDropboxNode } from './node.ts'
import { tagOf } from './schema.ts'
import type { DropboxTarget, DropboxView, WriteFailure } from './view.ts'

/** Changes of the tree, with the rights and limits that Dropbox checks. */
export class FakeDropboxWrites {
  readonly #knobs: FakeDropboxKnobs

  constructor(knobs: FakeDropboxKnobs) {
    this.#knobs = knobs
  }

  /** Creates a file with the content, or replaces the content of one. */
  commit(view: DropboxView, info: files.CommitInfo, content: Buffer, createError: WriteFailure): FakeDropboxNode {
    const target = view.target(info.path, createError)
    const { node } = target
    const clientModified = info.client_modified === undefined ? undefined : new Date(info.client_modified)
    const resolution = this.#resolveConflict(node, info, content)
    if (resolution === 'same' && node !== undefined) return node
    const growth = content.length - (resolution === 'replaces' ? (node?.content?.length ?? 0) : 0)
    if (growth > 0 && view.tree.usedBytes() + growth > this.#knobs.quotaBytes) {
      throw createError({ '.tag': 'insufficient_space' })
    }
    if (resolution === 'replaces' && node !== undefined) {
      view.tree.write(node, content, clientModified)
      return node
    }
    const name = resolution === 'conflict' ? freeName(view, target, info, createError) : target.name
    const parent = folderOf(view, target)
    return view.tree.addFile({ name, parent, content, ...(clientModified && { clientModified }) })
  }

  createFolder(view: DropboxView, { path, autorename = false }: files.CreateFolderArg): FakeDropboxNode {
    const createError: WriteFailure = (error) =>
      new DropboxFailure(endpointError({ '.tag': 'path', path: error } satisfies files.CreateFolderError))
    const target = view.target(path, createError)
    const name = target.node === undefined ? target.name : freeName(view, target, { autorename }, createError)
    return view.tree.addFolder({ name, parent: folderOf(view, target) })
  }

  /** Returns a node that can be deleted. */
  deletable(view: DropboxView, { path, parent_rev }: files.DeleteArg): FakeDropboxNode {
    const lookup = (error: files.LookupError) =>
      new DropboxFailure(endpointError({ '.tag': 'path_lookup', path_lookup: error } satisfies files.DeleteError))
    const write = (error: files.WriteError) =>
      new DropboxFailure(endpointError({ '.tag': 'path_write', path_write: error } satisfies files.DeleteError))
    const node = view.node(path, lookup)
    if (parent_rev !== undefined && node.kind === 'folder') throw lookup({ '.tag': 'not_file' })
    if (parent_rev !== undefined && node.rev !== parent_rev) throw write(conflictWith(node))
    if (node.parent === undefined || node === view.base) throw write({ '.tag': 'operation_suppressed' })
    if (node.parent === view.tree.teamRoot?.id) throw write({ '.tag': 'team_folder' })
    if (view.isReadOnly(node)) throw write({ '.tag': 'no_write_permission' })
    return node
  }

  /** Checks the existing node against the mode (Dropbox, at `WriteMode`). */
  #resolveConflict(
    node: FakeDropboxNode | undefined,
    { mode = { '.tag': 'add' }, strict_conflict = false }: files.CommitInfo,
    content: Buffer
  ): 'nothing' | 'same' | 'replaces' | 'conflict' {
    const update = mode['.tag'] === 'update' ? mode.update : undefined
    if (node === undefined) return update !== undefined && strict_conflict ? 'conflict' : 'nothing'
    if (node.kind === 'folder') return 'conflict'
    const isSame = node.content !== undefined && contentHash(node.content) === contentHash(content)
    if (isSame && !strict_conflict) return 'same'
    const isOverwrite = tagOf(mode) === 'overwrite'
    return isOverwrite || update === node.rev ? 'replaces' : 'conflict'
  }
}

const conflictWith = (node: FakeDropboxNode | undefined): files.WriteError => ({
  '.tag': 'conflict',
  conflict: { '.tag': node?.kind ?? 'file' }
})

/** Returns another name, if autorename is allowed. */
function freeName(
  { tree }: DropboxView,
  { folder, name, node }: DropboxTarget,
  { autorename = false, mode }: Pick<files.CommitInfo, 'autorename' | 'mode'>,
  createError: WriteFailure
): string {
  if (!autorename) throw createError(conflictWith(node))
  const [, baseName = '', extension = ''] = /^(.+?)(\.[^.]*)?$/.exec(name) ?? []
  const isUpdate = mode?.['.tag'] === 'update'
  for (let count = 1; ; count++) {
    const suffix = isUpdate ? `conflicted copy${count > 1 ? ` ${count}` : ''}` : String(count)
    const other = `${baseName} (${suffix})${extension}`
    if (tree.child(folder, other) === undefined) return other
  }
}

/** Returns the target folder, after creating the missing ones. */
function folderOf({ tree }: DropboxView, { folder, missing }: DropboxTarget): FakeDropboxNode {
  return missing.reduce((parent, name) => tree.addFolder({ name, parent }), folder)
}
