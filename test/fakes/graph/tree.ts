import { newSiteId } from './ids.ts'
import { FakeGraphDrive, type NewNode } from './drive.ts'
import { mimeTypeOf } from './name.ts'
import type {
  DriveSeed,
  FileSeed,
  NodeSeed,
  RemoteSeed,
  SiteSeed,
  FakeGraphNode,
  FakeGraphSite,
  GraphKind
} from './node.ts'

type NodeProperties = Partial<Pick<FakeGraphNode, 'content' | 'mimeType' | 'remote'>>

/** All drives and sites. Tests seed and check it directly, without HTTP, and may use any names. */
export class FakeGraphTree {
  readonly kind: GraphKind
  /** The root of the drive of `me`. */
  readonly root: FakeGraphNode
  /** Items deleted over HTTP, or seeded as deleted. */
  readonly recycleBin: FakeGraphNode[] = []
  readonly #drives = new Map<string, FakeGraphDrive>()
  readonly #sites = new Map<string, FakeGraphSite>()
  readonly #now: () => Date

  constructor(kind: GraphKind, now: () => Date) {
    this.kind = kind
    this.#now = now
    this.root = this.ownDrive('me').root
  }

  addFolder(seed: NodeSeed): FakeGraphNode {
    return this.#add(seed, {})
  }

  addFile({ content = '', mimeType, ...seed }: FileSeed): FakeGraphNode {
    return this.#add(seed, { mimeType: mimeType ?? mimeTypeOf(seed.name), content: Buffer.from(content) })
  }

  /** Ten thousand take less than half a second. */
  addFiles(count: number, seed: (index: number) => FileSeed): FakeGraphNode[] {
    return Array.from({ length: count }, (_, index) => this.addFile(seed(index)))
  }

  /** Adds a shortcut to an item of another drive. */
  addRemote({ target, ...seed }: RemoteSeed): FakeGraphNode {
    return this.#add(seed, { remote: target })
  }

  addSite({ name, parent }: SiteSeed): FakeGraphSite {
    const site = { id: newSiteId(), name, parent, created: this.#now() }
    this.#sites.set(site.id, site)
    return site
  }

  /** Returns its root. */
  addDrive({ name, site }: DriveSeed): FakeGraphNode {
    return this.#addDrive(name, undefined, site).root
  }

  /** Returns the drive of a user, creating it at the first call. */
  ownDrive(user: string): FakeGraphDrive {
    const found = this.drives().find(({ owner }) => owner === user)
    return found ?? this.#addDrive(this.kind === 'business' ? 'OneDrive' : '', user, undefined)
  }

  drive(id: string): FakeGraphDrive | undefined {
    return this.#drives.get(id)
  }

  drives(): FakeGraphDrive[] {
    return [...this.#drives.values()]
  }

  site(id: string): FakeGraphSite | undefined {
    return this.#sites.get(id)
  }

  sites(): FakeGraphSite[] {
    return [...this.#sites.values()]
  }

  /** Finds an item in one drive; without a drive ID, in the user's own drive first and then in the others. */
  find(id: string, driveId?: string): FakeGraphNode | undefined {
    if (driveId !== undefined) return this.#drives.get(driveId)?.find(id)
    for (const drive of this.#drives.values()) {
      const node = drive.find(id)
      if (node !== undefined) return node
    }
    return undefined
  }

  /** Returns an item by ID; throws if there is none. */
  get(id: string | FakeGraphNode): FakeGraphNode {
    const node = typeof id === 'string' ? this.find(id) : this.find(id.id, id.driveId)
    if (node === undefined) throw new Error(`${typeof id === 'string' ? id : id.id} is not in the tree`)
    return node
  }

  /** Returns the content of a file; throws if there is none. */
  read(id: string | FakeGraphNode): Buffer {
    const { content, name } = this.get(id)
    if (content === undefined) throw new Error(`${name} has no content`)
    return content
  }

  children(parent: string | FakeGraphNode = this.root): FakeGraphNode[] {
    const node = this.get(parent)
    return [...this.driveOf(node).children(node)]
  }

  driveOf({ driveId }: FakeGraphNode): FakeGraphDrive {
    const drive = this.#drives.get(driveId)
    if (drive === undefined) throw new Error(`there is no drive ${driveId}`)
    return drive
  }

  rename(id: string | FakeGraphNode, name: string): void {
    const node = this.get(id)
    this.driveOf(node).rename(node, name)
    this.touch(node)
  }

  move(id: string | FakeGraphNode, parent: string | FakeGraphNode): void {
    const node = this.get(id)
    const folder = this.get(parent)
    if (folder.driveId !== node.driveId) throw new Error('a move to another drive is a copy')
    this.driveOf(node).setParent(node, folder)
    this.touch(node)
  }

  write(id: string | FakeGraphNode, content: string | Uint8Array): void {
    const node = this.get(id)
    const now = this.#now()
    this.touch(Object.assign(node, { content: Buffer.from(content), revision: node.revision + 1, clientModified: now }))
    this.driveOf(node).touchAncestors(node)
    node.modified = now
  }

  /** Records a change of any kind. */
  touch(node: FakeGraphNode): void {
    node.version++
    this.driveOf(node).record(node, this.#now())
  }

  /** Deletes it permanently, with all descendants. */
  remove(id: string | FakeGraphNode): void {
    const node = this.get(id)
    this.driveOf(node).delete(node, this.#now())
  }

  /** Moves it to the recycle bin, where it is not reachable over HTTP. */
  recycle(id: string | FakeGraphNode): void {
    const node = this.get(id)
    this.remove(node)
    this.recycleBin.push(node)
  }

  /** Returns a new ID in Microsoft's format. */
  newId(): string {
    return this.driveOf(this.root).newId()
  }

  #add(seed: NodeSeed, properties: NodeProperties): FakeGraphNode {
    const { name, parent, id, created, modified, clientModified, deleted = false, ...flags } = seed
    const parentNode = this.get(parent ?? this.root)
    if (parentNode.content !== undefined || parentNode.remote !== undefined)
      throw new Error(`${parentNode.name} is no folder`)
    const now = this.#now()
    const modifiedAt = modified ?? now
    const times = { created: created ?? now, modified: modifiedAt, clientModified: clientModified ?? modifiedAt }
    const newNode: NewNode = { name, ...(id !== undefined && { id }), ...times, ...properties, flags }
    const drive = this.driveOf(parentNode)
    const node = drive.add(newNode, parentNode)
    drive.record(node, now)
    if (deleted) this.recycle(node)
    return node
  }

  #addDrive(name: string, owner: string | undefined, site: FakeGraphSite | undefined): FakeGraphDrive {
    const drive = new FakeGraphDrive(this.kind, { name, owner, site }, this.#now())
    this.#drives.set(drive.id, drive)
    return drive
  }
}
