import { createHash, randomBytes } from 'node:crypto'
import { type FakeDriveJournal, USER_LOG } from './journal.ts'
import {
  DRIVE_DOCUMENT,
  DRIVE_FOLDER,
  DRIVE_SHORTCUT,
  type DocumentSeed,
  type FakeDriveNode,
  type FileSeed,
  type NodeSeed,
  type ShortcutSeed
} from './node.ts'

type NodeProperties = Pick<FakeDriveNode, 'mimeType'> & Partial<Pick<FakeDriveNode, 'content' | 'exports' | 'shortcut'>>

/** All items in My Drive, in shared drives and shared by others. Tests seed and check it directly, without HTTP. */
export class FakeDriveTree {
  readonly root: FakeDriveNode
  readonly #nodes = new Map<string, FakeDriveNode>()
  readonly #children = new Map<string, Set<FakeDriveNode>>()
  readonly #now: () => Date
  readonly #journal: FakeDriveJournal | undefined

  constructor(now: () => Date, journal?: FakeDriveJournal) {
    this.#now = now
    this.root = this.#addRoot('My Drive', `0A${randomId(13)}`, undefined)
    this.#journal = journal
  }

  addFolder(seed: NodeSeed): FakeDriveNode {
    return this.#add(seed, { mimeType: DRIVE_FOLDER })
  }

  addFile({ content = '', mimeType = 'text/plain', ...seed }: FileSeed): FakeDriveNode {
    return this.#add(seed, { mimeType, content: Buffer.from(content) })
  }

  /** Ten thousand take less than half a second. */
  addFiles(count: number, seed: (index: number) => FileSeed): FakeDriveNode[] {
    return Array.from({ length: count }, (_, index) => this.addFile(seed(index)))
  }

  addDocument({ mimeType = DRIVE_DOCUMENT, exports = {}, ...seed }: DocumentSeed): FakeDriveNode {
    const formats = Object.entries(exports).map(([format, content]) => [format, Buffer.from(content)] as const)
    return this.#add(seed, { mimeType, exports: new Map(formats) })
  }

  addShortcut({ target, targetMimeType, targetResourceKey, ...seed }: ShortcutSeed): FakeDriveNode {
    const targetId = idOf(target)
    const shortcut = {
      targetId,
      targetMimeType: targetMimeType ?? this.find(targetId)?.mimeType ?? DRIVE_FOLDER,
      ...(targetResourceKey !== undefined && { targetResourceKey })
    }
    return this.#add(seed, { mimeType: DRIVE_SHORTCUT, shortcut })
  }

  /** Adds a shared drive. Returns its root folder, which has the ID of the drive. */
  addDrive(name: string, id = `0A${randomId(12)}PVA`): FakeDriveNode {
    const drive = this.#addRoot(name, id, id)
    this.#record(drive)
    return drive
  }

  /** Finds a node by ID, or by the alias `root`. */
  find(id: string): FakeDriveNode | undefined {
    return this.#nodes.get(id === 'root' ? this.root.id : id)
  }

  /** Returns a node by ID; throws if there is none. */
  get(id: string | FakeDriveNode): FakeDriveNode {
    const node = this.find(idOf(id))
    if (node === undefined) throw new Error(`${idOf(id)} is not in the tree`)
    return node
  }

  /** Returns the content of a file; throws if there is none. */
  read(id: string | FakeDriveNode): Buffer {
    const { content } = this.get(id)
    if (content === undefined) throw new Error(`${idOf(id)} has no content`)
    return content
  }

  /** Returns the children, trashed ones included. */
  children(parent: string | FakeDriveNode = this.root): FakeDriveNode[] {
    return [...(this.#children.get(this.get(parent).id) ?? [])]
  }

  nodes(): IterableIterator<FakeDriveNode> {
    return this.#nodes.values()
  }

  /** Returns the root folders of the shared drives. */
  drives(): FakeDriveNode[] {
    return [...this.#nodes.values()].filter(({ isRoot, driveId }) => isRoot && driveId !== undefined)
  }

  /** Returns whether it is in the trash, itself or by a parent folder. */
  isTrashed(node: FakeDriveNode): boolean {
    if (node.trashed) return true
    const parent = node.parent === undefined ? undefined : this.#nodes.get(node.parent)
    return parent !== undefined && this.isTrashed(parent)
  }

  rename(id: string | FakeDriveNode, name: string): void {
    this.touch(Object.assign(this.get(id), { name }))
  }

  trash(id: string | FakeDriveNode, trashed = true): void {
    this.touch(Object.assign(this.get(id), { trashed }))
  }

  move(id: string | FakeDriveNode, parent: string | FakeDriveNode): void {
    const node = this.get(id)
    this.#setParent(node, this.get(parent).id)
    this.touch(node)
  }

  write(id: string | FakeDriveNode, content: string | Uint8Array): void {
    const node = this.get(id)
    const bytes = Buffer.from(content)
    this.touch(Object.assign(node, { content: bytes, md5: md5Of(bytes), revision: node.revision + 1 }))
    node.modified = this.#now()
  }

  /** Records a change of any kind. */
  touch(node: FakeDriveNode): void {
    node.version++
    this.#record(node)
  }

  /** Deletes it permanently, with all descendants, which have no log entries of their own. */
  remove(id: string | FakeDriveNode): void {
    const node = this.get(id)
    const log = this.logOf(node)
    this.#removeAll(node)
    this.#journal?.recordRemoval(node, log)
  }

  /** Returns the log that reports changes of a node: the user's or a shared drive's, or none. */
  logOf(node: FakeDriveNode): string | null {
    if (node.driveId !== undefined) return node.driveId
    // Items in folders of others are not in the user's corpus.
    let top = node
    for (let at = this.find(node.parent ?? ''); at !== undefined; at = this.find(at.parent ?? '')) top = at
    return top === node || top === this.root ? USER_LOG : null
  }

  /** Returns the bytes that count against the user's quota. */
  usedBytes(filter: (node: FakeDriveNode) => boolean = () => true): number {
    let sum = 0
    for (const node of this.#nodes.values()) {
      if (node.driveId === undefined && node.flags.sharedWithMe !== true && filter(node)) {
        sum += node.content?.length ?? 0
      }
    }
    return sum
  }

  /** Returns a new ID in Google's format. */
  newId(): string {
    return `1${randomId(24)}`
  }

  #add(seed: NodeSeed, properties: NodeProperties): FakeDriveNode {
    const { name, parent, id = this.newId(), created, modified, trashed = false, ...flags } = seed
    const parentNode = parent === undefined && flags.sharedWithMe === true ? undefined : this.get(parent ?? this.root)
    if (parentNode !== undefined && parentNode.mimeType !== DRIVE_FOLDER)
      throw new Error(`${parentNode.name} is no folder`)
    const now = this.#now()
    const node = newNode(
      { id, name, driveId: parentNode?.driveId, trashed, flags },
      properties,
      created ?? now,
      modified ?? now
    )
    this.#insert(node)
    this.#setParent(node, parentNode?.id)
    this.#record(node)
    return node
  }

  #record(node: FakeDriveNode): void {
    this.#journal?.record(node, this.logOf(node))
  }

  #removeAll(node: FakeDriveNode): void {
    for (const child of this.children(node)) this.#removeAll(child)
    this.#setParent(node, undefined)
    this.#nodes.delete(node.id)
  }

  #addRoot(name: string, id: string, driveId: string | undefined): FakeDriveNode {
    const now = this.#now()
    const properties = { id, name, driveId, isRoot: true, flags: {} }
    return this.#insert(newNode(properties, { mimeType: DRIVE_FOLDER }, now, now))
  }

  #insert(node: FakeDriveNode): FakeDriveNode {
    if (this.#nodes.has(node.id)) throw new Error(`${node.id} is already in the tree`)
    this.#nodes.set(node.id, node)
    return node
  }

  #setParent(node: FakeDriveNode, parent: string | undefined): void {
    if (node.parent !== undefined) this.#children.get(node.parent)?.delete(node)
    node.parent = parent
    if (parent === undefined) return
    const siblings = this.#children.get(parent) ?? new Set()
    this.#children.set(parent, siblings.add(node))
  }
}

function newNode(
  base: Pick<FakeDriveNode, 'id' | 'name' | 'driveId' | 'flags'> & Partial<Pick<FakeDriveNode, 'isRoot' | 'trashed'>>,
  properties: NodeProperties,
  created: Date,
  modified: Date
): FakeDriveNode {
  const { content } = properties
  return {
    isRoot: false,
    trashed: false,
    parent: undefined,
    shortcut: undefined,
    exports: new Map(),
    ...base,
    ...properties,
    content,
    md5: content && md5Of(content),
    created,
    modified,
    version: 1,
    revision: 1
  }
}

function idOf(node: string | FakeDriveNode): string {
  return typeof node === 'string' ? node : node.id
}

function randomId(bytes: number): string {
  return randomBytes(bytes).toString('base64url')
}

function md5Of(content: Buffer): string {
  return createHash('md5').update(content).digest('hex')
}
