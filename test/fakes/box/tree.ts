import { createHash } from 'node:crypto'
import type { FakeBoxEvents } from './events.ts'
import {
  BOX_ROOT,
  type BoxFileSeed,
  type BoxLinkSeed,
  type BoxNodeSeed,
  type BoxType,
  type BoxVersion,
  type FakeBoxNode
} from './node.ts'

type NodeProperties = Pick<FakeBoxNode, 'type'> & Partial<Pick<FakeBoxNode, 'content' | 'url' | 'notReady'>>

const TYPES: readonly BoxType[] = ['file', 'folder', 'web_link']
const FIRST_ID = 1_500_000_000_001
const FIRST_UNUSED_ID = 9_000_000_000_001
const FIRST_VERSION = 1_700_000_000_001

/**
 * All items of the user. Tests seed and check it directly, without HTTP. The first file, the first folder and the
 * first web link have the same ID, and so on, because Box's IDs are unique within a type only.
 */
export class FakeBoxTree {
  readonly root: FakeBoxNode
  /** Changes with each modification of the tree. */
  revision = 0
  readonly #nodes: Readonly<Record<BoxType, Map<string, FakeBoxNode>>> = {
    file: new Map(),
    folder: new Map(),
    web_link: new Map()
  }
  readonly #children = new Map<string, Set<FakeBoxNode>>()
  readonly #nextIds: Record<BoxType, number> = { file: FIRST_ID, folder: FIRST_ID, web_link: FIRST_ID }
  #nextUnusedId = FIRST_UNUSED_ID
  #nextVersion = FIRST_VERSION
  readonly #now: () => Date
  readonly #events: FakeBoxEvents

  constructor(now: () => Date, events: FakeBoxEvents) {
    this.#now = now
    this.#events = events
    this.root = this.#insert(newNode(BOX_ROOT, { name: 'All Files' }, { type: 'folder' }, now()))
  }

  addFolder(seed: BoxNodeSeed): FakeBoxNode {
    return this.#record('ITEM_CREATE', this.#add(seed, { type: 'folder' }))
  }

  addFile({ content = '', notReady = 0, ...seed }: BoxFileSeed): FakeBoxNode {
    const node = this.#add(seed, { type: 'file', content: Buffer.from(content), notReady })
    node.version = this.#versionOf(node)
    return this.#record('ITEM_UPLOAD', node)
  }

  /** Five thousand take less than half a second. */
  addFiles(count: number, seed: (index: number) => BoxFileSeed): FakeBoxNode[] {
    return Array.from({ length: count }, (_, index) => this.addFile(seed(index)))
  }

  addWebLink({ url, ...seed }: BoxLinkSeed): FakeBoxNode {
    return this.#record('ITEM_CREATE', this.#add(seed, { type: 'web_link', url }))
  }

  /** Adds a macOS bundle, which Box stores as a file. */
  addPackage(seed: BoxFileSeed): FakeBoxNode {
    return this.addFile({ ...seed, isPackage: true })
  }

  /** Finds an item by ID and optional type. @throws Error if the type is omitted and several items have the ID */
  find(id: string, type?: BoxType): FakeBoxNode | undefined {
    const types = type === undefined ? TYPES : [type]
    const [found, ...others] = types.flatMap((each) => this.#nodes[each].get(id) ?? [])
    if (others.length > 0) throw new Error(`${id} is the id of several things: say the type, or give the node`)
    return found
  }

  /** Throws if there is none. */
  get(id: string | FakeBoxNode, type?: BoxType): FakeBoxNode {
    const node = typeof id === 'string' ? this.find(id, type) : this.find(id.id, id.type)
    if (node === undefined) throw new Error(`${typeof id === 'string' ? id : id.name} is not in the tree`)
    return node
  }

  /** Returns the content of a file; throws if there is none. */
  read(id: string | FakeBoxNode): Buffer {
    const { content, name } = this.get(id, 'file')
    if (content === undefined) throw new Error(`${name} has no content`)
    return content
  }

  /** Omits trashed items. */
  children(parent: string | FakeBoxNode = this.root): FakeBoxNode[] {
    return [...this.#childrenOf(parent)].filter(({ trashed }) => trashed === undefined)
  }

  /** Returns the item with a name in a folder, ignoring case. */
  childNamed(parent: FakeBoxNode, name: string): FakeBoxNode | undefined {
    const key = name.toLowerCase()
    return this.children(parent).find((child) => child.name.toLowerCase() === key)
  }

  /** Returns the parent folders, from the root on. */
  path(node: FakeBoxNode): FakeBoxNode[] {
    const parent = node.parent === undefined ? undefined : this.find(node.parent, 'folder')
    return parent === undefined ? [] : [...this.path(parent), parent]
  }

  /** Returns whether it is in the trash, itself or by a parent folder. */
  isTrashed(node: FakeBoxNode): boolean {
    return [node, ...this.path(node)].some(({ trashed }) => trashed !== undefined)
  }

  rename(id: string | FakeBoxNode, name: string): void {
    const node = this.get(id)
    this.touch(Object.assign(node, { name }))
    this.#record('ITEM_RENAME', node)
  }

  move(id: string | FakeBoxNode, parent: string | FakeBoxNode): void {
    const node = this.get(id)
    this.#setParent(node, this.get(parent, 'folder').id)
    this.touch(node)
    this.#record('ITEM_MOVE', node)
  }

  trash(id: string | FakeBoxNode): void {
    const node = this.get(id)
    this.touch(Object.assign(node, { trashed: this.#now() }))
    this.#record('ITEM_TRASH', node)
  }

  restore(id: string | FakeBoxNode): void {
    const node = this.get(id)
    this.touch(Object.assign(node, { trashed: undefined }))
    this.#record('ITEM_UNDELETE_VIA_TRASH', node)
  }

  write(id: string | FakeBoxNode, content: string | Uint8Array, contentModified = this.#now()): void {
    const node = this.get(id, 'file')
    this.touch(Object.assign(node, { content: Buffer.from(content), contentModified, modified: this.#now() }))
    node.version = this.#versionOf(node)
    this.#record('ITEM_UPLOAD', node)
  }

  /** Records a change of any kind, without an event. */
  touch(node: FakeBoxNode): void {
    node.etag++
    this.revision++
  }

  /** Deletes it permanently, with all descendants. There is an event unless it was in the trash. */
  remove(id: string | FakeBoxNode): void {
    const node = this.get(id)
    if (!this.isTrashed(node)) this.trash(node)
    if (node.type === 'folder') for (const child of this.#childrenOf(node)) this.remove(child)
    this.#setParent(node, undefined)
    this.#nodes[node.type].delete(node.id)
    this.revision++
  }

  /** Returns the bytes that count against the user's quota, including those in the trash. */
  usedBytes(): number {
    let sum = 0
    for (const { content } of this.#nodes.file.values()) sum += content?.length ?? 0
    return sum
  }

  /** Returns a new ID in Box's format, which no item of any type has or will have. */
  newId(): string {
    return String(this.#nextUnusedId++)
  }

  #add(seed: BoxNodeSeed, properties: NodeProperties): FakeBoxNode {
    const { parent = this.root, id = String(this.#nextIds[properties.type]++), ...rest } = seed
    const parentNode = this.get(parent, 'folder')
    const node = this.#insert(newNode(id, rest, properties, this.#now()))
    this.#setParent(node, parentNode.id)
    return node
  }

  #insert(node: FakeBoxNode): FakeBoxNode {
    const nodes = this.#nodes[node.type]
    if (nodes.has(node.id)) throw new Error(`there is a ${node.type} ${node.id} already`)
    nodes.set(node.id, node)
    this.revision++
    return node
  }

  #record(type: string, node: FakeBoxNode): FakeBoxNode {
    this.#events.record(type, node)
    return node
  }

  #setParent(node: FakeBoxNode, parent: string | undefined): void {
    if (node.parent !== undefined) this.#children.get(node.parent)?.delete(node)
    node.parent = parent
    if (parent === undefined) return
    const siblings = this.#children.get(parent) ?? new Set()
    this.#children.set(parent, siblings.add(node))
  }

  #childrenOf(parent: string | FakeBoxNode): Iterable<FakeBoxNode> {
    return this.#children.get(this.get(parent, 'folder').id) ?? []
  }

  #versionOf({ content = Buffer.alloc(0), version }: FakeBoxNode): BoxVersion {
    const sha1 = createHash('sha1').update(content).digest('hex')
    return { id: String(this.#nextVersion++), number: (version?.number ?? 0) + 1, sha1 }
  }
}

function newNode(
  id: string,
  seed: Omit<BoxNodeSeed, 'id' | 'parent'>,
  properties: NodeProperties,
  now: Date
): FakeBoxNode {
  const { name, created = now, modified = now, contentCreated = created, contentModified = modified, ...flags } = seed
  return {
    ...{ parent: undefined, trashed: undefined, content: undefined, version: undefined, url: undefined },
    ...{ etag: 0, notReady: 0 },
    ...properties,
    ...{ id, name, created, modified, contentCreated, contentModified, flags }
  }
}
