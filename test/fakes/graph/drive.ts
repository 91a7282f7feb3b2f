import { randomUUID } from 'node:crypto'
import { newDriveId, newItemId } from './ids.ts'
import { nameKey } from './name.ts'
import type { FakeGraphNode, FakeGraphSite, GraphKind } from './node.ts'

interface Folder {
  readonly children: Set<FakeGraphNode>
  /** Only the last node of each name can be reached; over HTTP, names are unique. */
  readonly names: Map<string, FakeGraphNode>
}

/** An entry of a drive's journal: something about the item has changed. */
export interface GraphChange {
  readonly node: FakeGraphNode
  readonly at: number
}

export interface DriveProperties {
  readonly name: string
  /** The owner; undefined for libraries of sites, and for drives of users that never sign in. */
  readonly owner: string | undefined
  readonly site: FakeGraphSite | undefined
}

export type NewNode = Pick<FakeGraphNode, 'name' | 'created' | 'modified' | 'clientModified'> &
  Partial<Pick<FakeGraphNode, 'id' | 'content' | 'mimeType' | 'remote' | 'flags'>>

/** One drive and its content. */
export class FakeGraphDrive {
  readonly id: string
  readonly kind: GraphKind
  readonly name: string
  readonly owner: string | undefined
  readonly site: FakeGraphSite | undefined
  readonly root: FakeGraphNode
  /** All changes, in order. */
  readonly journal: GraphChange[] = []
  /** The folders from which items were deleted, by the ID of the item. */
  readonly #deletedFrom = new Map<string, string | undefined>()
  readonly #nodes = new Map<string, FakeGraphNode>()
  readonly #folders = new Map<string, Folder>()
  #lastNumber = 100

  constructor(kind: GraphKind, { name, owner, site }: DriveProperties, now: Date) {
    this.kind = kind
    this.id = newDriveId(kind)
    this.name = name
    this.owner = owner
    this.site = site
    this.root = this.#insert({ name: 'root', created: now, modified: now, clientModified: now }, true)
  }

  get driveType(): string {
    return this.site === undefined ? this.kind : 'documentLibrary'
  }

  /** Returns an unused ID. */
  newId(): string {
    this.#lastNumber++
    return newItemId(this.kind, this.id, this.#lastNumber)
  }

  find(id: string): FakeGraphNode | undefined {
    return id === 'root' ? this.root : this.#nodes.get(id)
  }

  nodes(): IterableIterator<FakeGraphNode> {
    return this.#nodes.values()
  }

  add(node: NewNode, parent: FakeGraphNode): FakeGraphNode {
    const added = this.#insert(node, false)
    this.setParent(added, parent)
    return added
  }

  children({ id }: FakeGraphNode): ReadonlySet<FakeGraphNode> {
    return this.#folders.get(id)?.children ?? new Set()
  }

  childNamed({ id }: FakeGraphNode, name: string): FakeGraphNode | undefined {
    return this.#folders.get(id)?.names.get(nameKey(name))
  }

  parentOf({ parent }: FakeGraphNode): FakeGraphNode | undefined {
    return parent === undefined ? undefined : this.#nodes.get(parent)
  }

  /** Returns the names of the folders between the root and a node. */
  folderNamesOf(node: FakeGraphNode): string[] {
    const folders: string[] = []
    for (
      let ancestor = this.parentOf(node);
      ancestor !== undefined && !ancestor.isRoot;
      ancestor = this.parentOf(ancestor)
    )
      folders.unshift(ancestor.name)
    return folders
  }

  /** Returns the size in bytes, including all descendants. */
  sizeOf(node: FakeGraphNode): number {
    let size = node.content?.length ?? 0
    for (const child of this.children(node)) size += this.sizeOf(child)
    return size
  }

  rename(node: FakeGraphNode, name: string): void {
    const parent = this.parentOf(node)
    this.setParent(node, undefined)
    node.name = name
    this.setParent(node, parent)
  }

  setParent(node: FakeGraphNode, parent: FakeGraphNode | undefined): void {
    const oldFolder = this.#folders.get(node.parent ?? '')
    oldFolder?.children.delete(node)
    if (oldFolder?.names.get(nameKey(node.name)) === node) oldFolder.names.delete(nameKey(node.name))
    this.touchAncestors(node)
    node.parent = parent?.id
    if (parent === undefined) return
    const folder = this.#folders.get(parent.id) ?? { children: new Set(), names: new Map() }
    this.#folders.set(parent.id, folder)
    folder.children.add(node)
    folder.names.set(nameKey(node.name), node)
    this.touchAncestors(node)
  }

  /** Deletes an item with all descendants. The journal has an entry for each. */
  delete(node: FakeGraphNode, now: Date): void {
    const { parent } = node
    this.setParent(node, undefined)
    this.#delete(node, parent, now)
  }

  /** Returns the ID of the folder from which an item was deleted. */
  deletedFrom({ id }: FakeGraphNode): string | undefined {
    return this.#deletedFrom.get(id)
  }

  /** Adds a change of an item to the journal. */
  record(node: FakeGraphNode, now: Date): void {
    this.journal.push({ node, at: now.getTime() })
  }

  #delete(node: FakeGraphNode, parent: string | undefined, now: Date): void {
    this.#nodes.delete(node.id)
    this.#deletedFrom.set(node.id, parent)
    this.record(node, now)
    for (const child of this.children(node)) this.#delete(child, node.id, now)
  }

  touchAncestors(node: FakeGraphNode): void {
    for (let ancestor = this.parentOf(node); ancestor !== undefined; ancestor = this.parentOf(ancestor))
      ancestor.revision++
  }

  #insert({ id = this.newId(), ...rest }: NewNode, isRoot: boolean): FakeGraphNode {
    if (this.#nodes.has(id)) throw new Error(`${id} is already in the drive`)
    const node: FakeGraphNode = {
      id,
      driveId: this.id,
      isRoot,
      guid: randomUUID().toUpperCase(),
      parent: undefined,
      version: 1,
      revision: 1,
      content: undefined,
      mimeType: undefined,
      remote: undefined,
      flags: {},
      ...rest
    }
    this.#nodes.set(id, node)
    return node
  }
}
