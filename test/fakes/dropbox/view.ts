import type { files } from 'dropbox'
import { MALFORMED_PATH, pathLookup, type DropboxFailure } from './failure.ts'
import type { FakeDropboxNode } from './node.ts'
import { isDisallowed, parsePath, type DropboxPath } from './paths.ts'
import type { FakeDropboxTree } from './tree.ts'

/** Creates the error of an operation for a path that cannot be written. */
export type WriteFailure = (error: files.WriteError) => DropboxFailure

/** The target of a write. */
export interface DropboxTarget {
  /** The last existing folder of the path. */
  readonly folder: FakeDropboxNode
  /** The missing folders below it. */
  readonly missing: readonly string[]
  readonly name: string
  /** The existing node, if any. */
  readonly node: FakeDropboxNode | undefined
}

/** The tree as one request sees it, relative to the base folder of its paths. */
export class DropboxView {
  readonly tree: FakeDropboxTree
  readonly base: FakeDropboxNode

  constructor(tree: FakeDropboxTree, base: FakeDropboxNode) {
    this.tree = tree
    this.base = base
  }

  /** Returns the names from the base on; undefined for nodes outside of it. */
  names(node: FakeDropboxNode): string[] | undefined {
    const names: string[] = []
    for (let at = node; at.id !== this.base.id;) {
      names.unshift(at.name)
      const parentNode = at.parent === undefined ? undefined : this.tree.find(at.parent)
      if (parentNode === undefined) return undefined
      at = parentNode
    }
    return names
  }

  /** @throws the error that `fail` creates from the reason */
  node(path: string, createError: (error: files.LookupError) => DropboxFailure = pathLookup): FakeDropboxNode {
    const parsed = parsePath(path)
    if (parsed === undefined) throw createError(MALFORMED_PATH)
    const found = parsed.names.reduce<FakeDropboxNode | undefined>(
      (at, name) => at && this.tree.child(at, name),
      this.#startOf(parsed)
    )
    if (found === undefined) throw createError({ '.tag': 'not_found' })
    return found
  }

  /** @throws the error that `fail` creates from the reason */
  target(path: string, createError: WriteFailure): DropboxTarget {
    const parsed = parsePath(path)
    const start = parsed && this.#startOf(parsed)
    if (parsed === undefined || start === undefined) throw createError(MALFORMED_PATH)
    const target = this.#resolve(start, parsed.names, createError)
    if (this.isReadOnly(target.node ?? target.folder)) throw createError({ '.tag': 'no_write_permission' })
    if ([...target.missing, target.name].some(isDisallowed)) throw createError({ '.tag': 'disallowed_name' })
    return target
  }

  isReadOnly(node: FakeDropboxNode): boolean {
    if (node.flags.readOnly === true) return true
    const parentNode = node.parent === undefined ? undefined : this.tree.find(node.parent)
    return parentNode !== undefined && this.isReadOnly(parentNode)
  }

  #startOf({ start }: DropboxPath): FakeDropboxNode | undefined {
    if (start === '') return this.base
    const [kind, value = ''] = start.split(':')
    const node =
      kind === 'id' ? this.tree.find(start) : kind === 'ns' ? this.tree.namespace(value) : this.tree.revision(value)
    return node !== undefined && this.names(node) !== undefined ? node : undefined
  }

  #resolve(start: FakeDropboxNode, names: readonly string[], createError: WriteFailure): DropboxTarget {
    let folder = start
    for (const [index, name] of names.entries()) {
      if (folder.kind === 'file') throw createError({ '.tag': 'conflict', conflict: { '.tag': 'file_ancestor' } })
      const node = this.tree.child(folder, name)
      const remaining = names.slice(index)
      if (node === undefined) return { folder, missing: remaining.slice(0, -1), name: remaining.at(-1) ?? '', node }
      if (remaining.length === 1) return { folder, missing: [], name, node }
      folder = node
    }
    // An ID without a path refers to the node itself.
    return { folder: this.tree.find(start.parent ?? '') ?? start, missing: [], name: start.name, node: start }
  }
}
