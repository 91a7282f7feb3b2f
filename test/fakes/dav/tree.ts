export interface FakeFile {
  readonly kind: 'file'
  readonly id: number
  readonly version: number
  readonly modified: Date
  readonly mimeType: string
  readonly content: Buffer
}

export interface FakeCollection {
  readonly kind: 'collection'
  readonly id: number
  readonly version: number
  readonly modified: Date
}

export type FakeNode = FakeFile | FakeCollection

export interface FakeFileProperties {
  readonly mimeType?: string
  readonly modified?: Date
}

/**
 * Files and collections in memory. Paths have no leading or trailing slash, and the root is empty: `folder/file.txt`.
 * Tests seed and check it directly, without HTTP and its rules.
 */
export class FakeTree {
  readonly #nodes = new Map<string, FakeNode>()
  #lastId = 0
  #lastVersion = 0

  constructor() {
    this.#set('', { kind: 'collection' })
  }

  /** Stores a file and creates its parent collections. */
  put(
    path: string,
    content: string | Buffer,
    { mimeType = 'text/plain', modified }: FakeFileProperties = {}
  ): FakeFile {
    this.mkdir(parentOf(path))
    if (this.#nodes.get(path)?.kind === 'collection') throw new Error(`${path} is a collection`)
    const bytes = Buffer.from(content)
    return this.#set(path, { kind: 'file', content: bytes, mimeType, ...(modified && { modified }) }) as FakeFile
  }

  /** Creates a collection and its parents. */
  mkdir(path: string): void {
    const existing = this.#nodes.get(path)
    if (existing?.kind === 'file') throw new Error(`${path} is a file`)
    if (existing !== undefined) return
    this.mkdir(parentOf(path))
    this.#set(path, { kind: 'collection' })
  }

  get(path: string): FakeNode | undefined {
    return this.#nodes.get(path)
  }

  /** Returns the content of a file; throws if there is none. */
  read(path: string): Buffer {
    const node = this.#nodes.get(path)
    if (node?.kind !== 'file') throw new Error(`${path} is no file`)
    return node.content
  }

  has(path: string): boolean {
    return this.#nodes.has(path)
  }

  /** Deletes a node with all descendants. Returns whether it existed. */
  delete(path: string): boolean {
    if (!this.#nodes.delete(path)) return false
    for (const other of this.paths()) if (other.startsWith(`${path}/`)) this.#nodes.delete(other)
    this.touch(parentOf(path))
    return true
  }

  /** Moves a node with all descendants. Replaces an existing one, as most servers do. */
  move(from: string, to: string): void {
    const node = this.#nodes.get(from)
    if (node === undefined) throw new Error(`${from} does not exist`)
    const descendants = this.paths().filter((path) => path.startsWith(`${from}/`))
    const moved = [from, ...descendants].map((path) => [to + path.slice(from.length), this.#nodes.get(path)] as const)
    for (const path of [from, ...descendants]) this.#nodes.delete(path)
    this.delete(to)
    for (const [path, each] of moved) this.restore(path, each)
    for (const path of [from, to]) this.touch(parentOf(path))
  }

  /** Sets or removes the node at a path, without changing the collections. */
  restore(path: string, node: FakeNode | undefined): void {
    if (node === undefined) this.#nodes.delete(path)
    else this.#nodes.set(path, node)
  }

  /** Returns all paths but the root, sorted. Those of collections end with a slash. */
  list(): string[] {
    return this.paths().map((path) => (this.#nodes.get(path)?.kind === 'file' ? path : `${path}/`))
  }

  /** Returns all paths but the root, sorted. */
  paths(): string[] {
    return [...this.#nodes.keys()].filter((path) => path !== '').sort()
  }

  /** Returns the paths of the direct children of a collection. */
  children(path: string): string[] {
    return this.paths().filter((child) => parentOf(child) === path)
  }

  /** Returns the size of a file, or of all files below a collection. */
  size(path: string): number {
    const node = this.#nodes.get(path)
    if (node?.kind === 'file') return node.content.length
    return this.children(path).reduce((sum, child) => sum + this.size(child), 0)
  }

  #set(
    path: string,
    properties: { kind: 'collection' } | ({ kind: 'file'; content: Buffer; mimeType: string } & FakeFileProperties)
  ): FakeNode {
    const id = this.#nodes.get(path)?.id ?? ++this.#lastId
    const node = { modified: new Date(), ...properties, id, version: ++this.#lastVersion } as FakeNode
    this.#nodes.set(path, node)
    if (path !== '') this.touch(parentOf(path))
    return node
  }

  /** Gives a collection and all above it one new version. Like in Nextcloud, each change does that. */
  touch(path: string, version = ++this.#lastVersion): void {
    const node = this.#nodes.get(path)
    if (node !== undefined) this.#nodes.set(path, { ...node, version, modified: new Date() })
    if (path !== '') this.touch(parentOf(path), version)
  }
}

/** Returns the parent collection of a path; the root is its own parent. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}
