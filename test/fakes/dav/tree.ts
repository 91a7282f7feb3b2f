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

export interface FakeFacts {
  readonly mimeType?: string
  readonly modified?: Date
}

/**
 * Files and collections, in memory. A path has no slash at its ends, and the root is empty: `folder/file.txt`. A test
 * seeds and checks with it, past HTTP and its rules.
 */
export class FakeTree {
  readonly #nodes = new Map<string, FakeNode>()
  #ids = 0
  #versions = 0

  constructor() {
    this.#set('', { kind: 'collection' })
  }

  /** Stores a file, and makes the collections above it. */
  put(path: string, content: string | Buffer, { mimeType = 'text/plain', modified }: FakeFacts = {}): FakeFile {
    this.mkdir(parentOf(path))
    if (this.#nodes.get(path)?.kind === 'collection') throw new Error(`${path} is a collection`)
    const bytes = Buffer.from(content)
    return this.#set(path, { kind: 'file', content: bytes, mimeType, ...(modified && { modified }) }) as FakeFile
  }

  /** Makes a collection, and those above it. */
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

  /** What a file holds; throws if there is none. */
  read(path: string): Buffer {
    const node = this.#nodes.get(path)
    if (node?.kind !== 'file') throw new Error(`${path} is no file`)
    return node.content
  }

  has(path: string): boolean {
    return this.#nodes.has(path)
  }

  /** With everything below; whether there was something. */
  delete(path: string): boolean {
    if (!this.#nodes.delete(path)) return false
    for (const other of this.paths()) if (other.startsWith(`${path}/`)) this.#nodes.delete(other)
    this.#touch(parentOf(path))
    return true
  }

  /** Gives a file another path. What is there goes, with everything below, as on most servers. */
  move(from: string, to: string): void {
    const node = this.#nodes.get(from)
    if (node?.kind !== 'file') throw new Error(`${from} is no file`)
    this.#nodes.delete(from)
    this.delete(to)
    this.#nodes.set(to, node)
    for (const path of [from, to]) this.#touch(parentOf(path))
  }

  /** Puts a node at a path as it is, or none: no collection changes with it. */
  reset(path: string, node: FakeNode | undefined): void {
    if (node === undefined) this.#nodes.delete(path)
    else this.#nodes.set(path, node)
  }

  /** Everything but the root, sorted. Collections end with a slash, so that a test sees what is what. */
  list(): string[] {
    return this.paths().map((path) => (this.#nodes.get(path)?.kind === 'file' ? path : `${path}/`))
  }

  /** Everything but the root, sorted. */
  paths(): string[] {
    return [...this.#nodes.keys()].filter((path) => path !== '').sort()
  }

  /** The paths of what stands right in a collection. */
  children(path: string): string[] {
    return this.paths().filter((child) => parentOf(child) === path)
  }

  /** The bytes of a file, or of all files below a collection. */
  size(path: string): number {
    const node = this.#nodes.get(path)
    if (node?.kind === 'file') return node.content.length
    return this.children(path).reduce((sum, child) => sum + this.size(child), 0)
  }

  #set(
    path: string,
    facts: { kind: 'collection' } | ({ kind: 'file'; content: Buffer; mimeType: string } & FakeFacts)
  ): FakeNode {
    const id = this.#nodes.get(path)?.id ?? ++this.#ids
    const node = { modified: new Date(), ...facts, id, version: ++this.#versions } as FakeNode
    this.#nodes.set(path, node)
    if (path !== '') this.#touch(parentOf(path))
    return node
  }

  /** As in Nextcloud, a change shows in the ETag of every collection above it. */
  #touch(path: string): void {
    const node = this.#nodes.get(path)
    if (node !== undefined) this.#nodes.set(path, { ...node, version: ++this.#versions, modified: new Date() })
    if (path !== '') this.#touch(parentOf(path))
  }
}

/** The collection that a path stands in; the root stands in itself. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}
