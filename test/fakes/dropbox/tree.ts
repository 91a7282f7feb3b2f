import { newId, newNamespaceId, newRev, rankOf } from './ids.ts'
import type { DocumentSeed, FakeDropboxNode, FileSeed, FolderSeed, NodeSeed } from './node.ts'

/** A change at a name in a folder. */
export interface DropboxChange {
  /** The ID of the folder. */
  readonly parent: string
  readonly name: string
}

/** A change, and its time in milliseconds since 1970. */
export interface RecordedChange extends DropboxChange {
  readonly time: number
}

type NodeProperties = Pick<FakeDropboxNode, 'kind'> & Partial<FakeDropboxNode>

/** All items of a user's Dropbox and of the team. Tests seed and check it directly, without HTTP. */
export class FakeDropboxTree {
  /** The user's own root. */
  readonly root: FakeDropboxNode
  /** The parent of the user's own root and of the team folders; undefined without a team. */
  readonly teamRoot: FakeDropboxNode | undefined
  /** All changes in order. */
  readonly changes: RecordedChange[] = []
  readonly #nodes = new Map<string, FakeDropboxNode>()
  /** By ID of the folder and lower-case name. */
  readonly #children = new Map<string, Map<string, FakeDropboxNode>>()
  readonly #deletedNames = new Map<string, Map<string, string>>()
  /** Former states of files, by revision. */
  readonly #revisions = new Map<string, FakeDropboxNode>()
  readonly #now: () => Date

  constructor(now: () => Date, isTeam: boolean) {
    this.#now = now
    this.teamRoot = isTeam ? this.#insert(this.#node({ name: '' }, rootProperties())) : undefined
    this.root = this.#insert(this.#node({ name: isTeam ? 'Me' : '' }, rootProperties()))
    if (this.teamRoot !== undefined) this.#setParent(this.root, this.teamRoot.id)
  }

  /** Adds a folder; a shared one if its seed has a namespace ID. */
  addFolder(seed: FolderSeed): FakeDropboxNode {
    const { namespaceId, ...rest } = seed
    return this.#add(rest, { kind: 'folder', namespaceId })
  }

  addTeamFolder({ name }: { readonly name: string }): FakeDropboxNode {
    if (this.teamRoot === undefined) throw new Error('there is no team')
    return this.addFolder({ name, parent: this.teamRoot, namespaceId: newNamespaceId() })
  }

  addFile({ content = '', clientModified, serverModified, ...seed }: FileSeed): FakeDropboxNode {
    const properties: NodeProperties = { kind: 'file', content: Buffer.from(content), rev: newRev() }
    if (serverModified !== undefined) Object.assign(properties, { serverModified })
    if (clientModified !== undefined || serverModified !== undefined) {
      Object.assign(properties, { clientModified: clientModified ?? serverModified })
    }
    return this.#add(seed, properties)
  }

  /** Five thousand take less than half a second. */
  addFiles(count: number, seed: (index: number) => FileSeed): FakeDropboxNode[] {
    return Array.from({ length: count }, (_, index) => this.addFile(seed(index)))
  }

  /** Adds a document without its own bytes, such as one of Dropbox Paper. */
  addDocument({ exports = { html: '<p></p>' }, ...seed }: DocumentSeed): FakeDropboxNode {
    const formats = Object.entries(exports).map(([format, content]) => [format, Buffer.from(content)] as const)
    return this.#add(seed, { kind: 'file', exports: new Map(formats), rev: newRev() })
  }

  find(id: string): FakeDropboxNode | undefined {
    return this.#nodes.get(id)
  }

  /** Returns a node by ID; throws if there is none. */
  get(id: string | FakeDropboxNode): FakeDropboxNode {
    const node = this.find(idOf(id))
    if (node === undefined) throw new Error(`${idOf(id)} is not in the tree`)
    return node
  }

  /** Returns the node at a path such as `a/b.txt`, from the user's own root. */
  at(path: string): FakeDropboxNode | undefined {
    const names = path.split('/').filter((name) => name !== '')
    return names.reduce<FakeDropboxNode | undefined>((at, name) => at && this.child(at, name), this.root)
  }

  child(folder: FakeDropboxNode, name: string): FakeDropboxNode | undefined {
    return this.#children.get(folder.id)?.get(name.toLowerCase())
  }

  children(parent: string | FakeDropboxNode = this.root): FakeDropboxNode[] {
    return [...(this.#children.get(this.get(parent).id)?.values() ?? [])]
  }

  /** Returns the names of deleted nodes in a folder. */
  deletedNames(folder: FakeDropboxNode): string[] {
    return [...(this.#deletedNames.get(folder.id)?.values() ?? [])]
  }

  nodes(): IterableIterator<FakeDropboxNode> {
    return this.#nodes.values()
  }

  namespace(id: string): FakeDropboxNode | undefined {
    return [...this.#nodes.values()].find(({ namespaceId }) => namespaceId === id)
  }

  /** Returns the file in that revision; the current node if it is the latest. */
  revision(rev: string): FakeDropboxNode | undefined {
    const former = this.#revisions.get(rev)
    const node = former && this.#nodes.get(former.id)
    return node?.rev === rev ? node : former
  }

  /** Returns the content of a file; throws if there is none. */
  read(id: string | FakeDropboxNode): Buffer {
    const { content } = this.get(id)
    if (content === undefined) throw new Error(`${idOf(id)} has no content`)
    return content
  }

  write(id: string | FakeDropboxNode, content: string | Uint8Array, clientModified?: Date): void {
    const node = this.get(id)
    const serverModified = this.#now()
    Object.assign(node, { content: Buffer.from(content), rev: newRev(), serverModified })
    node.clientModified = clientModified ?? serverModified
    this.#storeRevision(node)
    this.#recordChanges(node)
  }

  rename(id: string | FakeDropboxNode, name: string): void {
    const node = this.get(id)
    this.#relocate(node, node.parent, name)
  }

  move(id: string | FakeDropboxNode, parent: string | FakeDropboxNode): void {
    const node = this.get(id)
    this.#relocate(node, this.get(parent).id, node.name)
  }

  /** Deletes it with all descendants. Files can still be found by revision. */
  remove(id: string | FakeDropboxNode): void {
    const node = this.get(id)
    const { parent } = node
    this.#delete(node)
    if (parent === undefined) return
    this.#deletedNames.set(
      parent,
      (this.#deletedNames.get(parent) ?? new Map<string, string>()).set(keyOf(node), node.name)
    )
    this.#recordChange(parent, node.name)
  }

  /** Changes the namespace of the team space, or of the user's root without a team. */
  moveRoot(): void {
    const root = this.teamRoot ?? this.root
    root.namespaceId = newNamespaceId()
  }

  /** Returns the bytes that count against the user's quota. */
  usedBytes(): number {
    let sum = 0
    for (const { content } of this.#nodes.values()) sum += content?.length ?? 0
    return sum
  }

  /** Returns a new ID in Dropbox's format. */
  newId(): string {
    return newId()
  }

  #add(seed: NodeSeed, properties: NodeProperties): FakeDropboxNode {
    const parentNode = this.get(seed.parent ?? this.root)
    if (parentNode.kind !== 'folder') throw new Error(`${parentNode.name} is no folder`)
    const node = this.#node(seed, properties)
    this.#assertFree(parentNode.id, node.name)
    this.#insert(node)
    this.#setParent(node, parentNode.id)
    if (node.kind === 'file') this.#storeRevision(node)
    this.#recordChanges(node)
    return node
  }

  #node({ name, id = this.newId(), parent: _, ...flags }: NodeSeed, properties: NodeProperties): FakeDropboxNode {
    const now = this.#now()
    return {
      ...{ id, name, rank: rankOf(id), parent: undefined, namespaceId: undefined, content: undefined, rev: '' },
      ...{ exports: new Map<string, Buffer>(), clientModified: now, serverModified: now, flags },
      ...properties
    }
  }

  #insert(node: FakeDropboxNode): FakeDropboxNode {
    if (this.#nodes.has(node.id)) throw new Error(`${node.id} is already in the tree`)
    this.#nodes.set(node.id, node)
    return node
  }

  #setParent(node: FakeDropboxNode, parent: string): void {
    node.parent = parent
    this.#deletedNames.get(parent)?.delete(keyOf(node))
    const siblings = this.#children.get(parent) ?? new Map<string, FakeDropboxNode>()
    this.#children.set(parent, siblings.set(keyOf(node), node))
  }

  #relocate(node: FakeDropboxNode, parent: string | undefined, name: string): void {
    const { parent: oldParent, name: oldName } = node
    if (oldParent === undefined || parent === undefined) throw new Error(`${node.id} is a root`)
    // A rename that only changes case is not reported as a change (Dropbox, at `path_display`).
    const isMoved = parent !== oldParent || name.toLowerCase() !== keyOf(node)
    if (isMoved) this.#assertFree(parent, name)
    this.#children.get(oldParent)?.delete(keyOf(node))
    node.name = name
    this.#setParent(node, parent)
    if (!isMoved) return
    this.#recordChange(oldParent, oldName)
    this.#recordChanges(node)
  }

  #delete(node: FakeDropboxNode): void {
    for (const child of this.children(node)) this.#delete(child)
    if (node.parent !== undefined) this.#children.get(node.parent)?.delete(keyOf(node))
    this.#nodes.delete(node.id)
  }

  #assertFree(parent: string, name: string): void {
    const existing = this.#children.get(parent)?.get(name.toLowerCase())
    if (existing !== undefined) throw new Error(`${existing.name} is already in the folder`)
  }

  #storeRevision(node: FakeDropboxNode): void {
    this.#revisions.set(node.rev, { ...node })
  }

  #recordChanges(node: FakeDropboxNode): void {
    const { parent, name } = node
    if (parent !== undefined) this.#recordChange(parent, name)
    for (const child of this.children(node)) this.#recordChanges(child)
  }

  #recordChange(parent: string, name: string): void {
    this.changes.push({ parent, name, time: this.#now().getTime() })
  }
}

function rootProperties(): NodeProperties {
  return { kind: 'folder', namespaceId: newNamespaceId() }
}

function keyOf({ name }: FakeDropboxNode): string {
  return name.toLowerCase()
}

function idOf(node: string | FakeDropboxNode): string {
  return typeof node === 'string' ? node : node.id
}
