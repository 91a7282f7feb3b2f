import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import {
  type Account,
  type Call,
  type Capabilities,
  type Change,
  defineProvider,
  type Download,
  type Entry,
  type EntryPage,
  type FeedPage,
  type ListCall,
  type PageFreshness,
  Secret,
  type StorageBackend,
  StorageError
} from '../../src/index.ts'
import { openEgress } from '../support/backend/egress.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'
import { backendContract } from './backend.ts'
import { clientOfTree, type OpenedBackend } from './harness.ts'
import { withAllLayers } from './layers.ts'

// A provider as applications write them: of the package, it uses what index.ts exports.

interface Item {
  readonly id: string
  readonly isFolder: boolean
  content: Buffer
  name: string
  parent: Item | null
  /** Incremented by each change of the item, or of an entry of the folder. */
  version: number
}

/** A service in memory, with folders, and with a log of the ids of changed items. */
class Shelf {
  readonly root: Item = { id: 'root', isFolder: true, content: Buffer.alloc(0), name: '', parent: null, version: 0 }
  readonly items = new Map<string, Item>([['root', this.root]])
  /** Ends each position: a log that has begun anew does not know those of the earlier one. */
  epoch = 0
  /** The longest page of the log. */
  maxChanges = 1000
  openBodies = 0
  readonly #log: Change[] = []
  #lastId = 0

  children(parent: Item): Item[] {
    return [...this.items.values()].filter((item) => item.parent === parent)
  }

  addFolder({ name, parent }: { readonly name: string; readonly parent: Item }): Item {
    return this.#add({ name, parent, isFolder: true, content: Buffer.alloc(0) })
  }

  addFile({ name, parent, content }: Pick<Item, 'name'> & { parent: Item; content: string | Buffer }): Item {
    return this.#add({ name, parent, isFolder: false, content: Buffer.from(content) })
  }

  write(item: Item, content: string): void {
    item.content = Buffer.from(content)
    this.#record(item, item.parent)
  }

  rename(item: Item, name: string): void {
    item.name = name
    this.#record(item, item.parent)
  }

  move(item: Item, folder: Item): void {
    const from = item.parent
    item.parent = folder
    this.#record(item, from, folder)
  }

  remove(item: Item): void {
    const from = item.parent
    this.#forget(item)
    this.#record(item, from)
  }

  get position(): string {
    return `${this.#log.length}.${this.epoch}`
  }

  changesSince(position: string): FeedPage {
    const [count = '', epoch = ''] = position.split('.')
    if (!/^\d+\.\d+$/.test(position) || Number(epoch) !== this.epoch) return 'lost'
    const end = Math.min(this.#log.length, Number(count) + this.maxChanges)
    const changes = this.#log.slice(Number(count), end)
    return { position: `${end}.${epoch}`, changes, hasMore: end < this.#log.length }
  }

  #add(item: Pick<Item, 'name' | 'parent' | 'isFolder' | 'content'>): Item {
    const added = { ...item, id: `item-${(this.#lastId += 1)}`, version: 0 }
    this.items.set(added.id, added)
    this.#record(added, added.parent)
    return added
  }

  /** Items below a deleted folder are gone without an entry in the log. */
  #forget(item: Item): void {
    for (const child of this.children(item)) this.#forget(child)
    this.items.delete(item.id)
  }

  #record(item: Item, ...folders: readonly (Item | null)[]): void {
    for (const each of [item, ...folders]) if (each !== null) each.version += 1
    this.#log.push({
      id: item.id,
      path: null,
      parentId: item.parent?.id ?? null,
      isFolder: item.isFolder,
      isGone: !this.items.has(item.id),
      concerns: 'item'
    })
  }
}

class ShelfBackend implements StorageBackend {
  readonly provider = 'shelf'
  readonly capabilities: Capabilities
  protected readonly shelf: Shelf

  constructor(shelf: Shelf, capabilities: Capabilities) {
    this.shelf = shelf
    this.capabilities = capabilities
  }

  async listFolder(folderId: string | null, { limit, cursor = '0', kind, signal }: ListCall): Promise<EntryPage> {
    signal.throwIfAborted()
    if (!Number.isInteger(limit) || limit < 1 || limit > 1000) throw new StorageError('INVALID_REQUEST')
    const folder = this.folder(folderId)
    const listed = this.shelf
      .children(folder)
      .filter(({ isFolder }) => kind === undefined || isFolder === (kind === 'folder'))
    const end = Number(cursor) + limit
    const next = end < listed.length ? String(end) : null
    return {
      folder: { id: folder.id, name: folder.name, parentId: folder.parent?.id ?? null },
      entries: listed.slice(Number(cursor), end).map(toEntry),
      next,
      complete: next === null,
      reason: next === null ? null : 'more',
      freshness: this.freshnessOf(folder)
    }
  }

  async stat(id: string, { signal }: Call): Promise<Entry> {
    signal.throwIfAborted()
    return toEntry(this.item(id))
  }

  async download(id: string, { signal }: Call): Promise<Download> {
    signal.throwIfAborted()
    const item = this.item(id)
    if (item.isFolder) throw new StorageError('OBJECT_NOT_FOUND')
    const { name, mimeType, version, modifiedAt } = toEntry(item)
    return {
      body: this.#read(item, signal),
      size: item.content.length,
      range: null,
      mimeType,
      name,
      etag: version,
      modifiedAt
    }
  }

  async account({ signal }: Call): Promise<Account> {
    signal.throwIfAborted()
    return { id: 'ann', name: 'Ann', email: null, quota: null }
  }

  protected freshnessOf: (folder: Item) => PageFreshness | null = () => null

  protected folder(id: string | null): Item {
    const item = this.shelf.items.get(id ?? 'root')
    if (item?.isFolder !== true) throw new StorageError('FOLDER_NOT_FOUND')
    return item
  }

  protected item(id: string): Item {
    const item = this.shelf.items.get(id)
    if (item === undefined) throw new StorageError('OBJECT_NOT_FOUND')
    return item
  }

  #read({ content }: Item, signal: AbortSignal): Readable {
    const { shelf } = this
    let sent = 0
    const body = new Readable({
      read(size) {
        this.push(sent < content.length ? content.subarray(sent, (sent += size)) : null)
      }
    })
    const abort = () => body.destroy(signal.reason as Error)
    shelf.openBodies += 1
    signal.addEventListener('abort', abort)
    return body.once('close', () => {
      shelf.openBodies -= 1
      signal.removeEventListener('abort', abort)
    })
  }
}

/** Reports changes by a feed. */
class ShelfBackendWithFeed extends ShelfBackend {
  async position(_scope: string, { signal }: Call): Promise<string> {
    signal.throwIfAborted()
    return this.shelf.position
  }

  async changes(_scope: string, position: string, { signal }: Call): Promise<FeedPage> {
    signal.throwIfAborted()
    return this.shelf.changesSince(position)
  }

  protected override freshnessOf = (): PageFreshness => ({ scope: '' })
}

/** Confirms folders by their versions. */
class ShelfBackendWithMarks extends ShelfBackend {
  async isCurrent(folderId: string | null, mark: string, { signal }: Call): Promise<boolean> {
    signal.throwIfAborted()
    const folder = this.shelf.items.get(folderId ?? 'root')
    return folder !== undefined && this.freshnessOf(folder).mark === mark
  }

  protected override freshnessOf = ({ version }: Item) => ({ mark: String(version) })
}

function toEntry({ id, isFolder, content, name, parent, version }: Item): Entry {
  return {
    id,
    parentId: parent?.id ?? null,
    driveId: null,
    name,
    kind: isFolder ? 'folder' : 'file',
    mimeType: null,
    size: isFolder ? null : content.length,
    createdAt: null,
    modifiedAt: null,
    version: isFolder ? null : String(version),
    hash: null,
    exportFormats: [],
    target: null,
    webUrl: null,
    thumbnailUrl: null,
    path: null,
    can: { list: isFolder, download: !isFolder, write: null }
  }
}

const BACKENDS = { unsupported: ShelfBackend, native: ShelfBackendWithFeed, emulated: ShelfBackendWithMarks }

function shelfProvider(shelf: Shelf, changes: keyof typeof BACKENDS) {
  const capabilities: Capabilities = {
    paging: 'native',
    kindFilter: 'native',
    rangeDownload: 'unsupported',
    upload: 'unsupported',
    createOnly: 'unsupported',
    updateIfMatch: 'unsupported',
    atomicReplace: 'unsupported',
    remove: 'unsupported',
    createFolder: 'unsupported',
    downloadUrl: 'unsupported',
    changes
  }
  return defineProvider({
    id: 'shelf',
    label: 'Shelf',
    capabilities,
    connect: {
      type: 'credentials',
      schema: { type: 'object', additionalProperties: false, properties: {} },
      parse: () => ({ credentials: new Secret({}), accountId: 'ann', label: 'Ann' })
    },
    open: async () => new BACKENDS[changes](shelf, capabilities)
  })
}

async function openShelf(t: Test, changes: keyof typeof BACKENDS): Promise<OpenedBackend> {
  const shelf = new Shelf()
  const provider = shelfProvider(shelf, changes)
  const { credentials } = provider.connect.parse({})
  const egress = openEgress()
  t.teardown(() => egress.close())
  const client = clientOfTree(
    shelf,
    ({ isFolder }) => isFolder,
    (item) => {
      shelf.remove(item)
    }
  )
  const isFeed = changes === 'native'
  return {
    backend: await provider.open({ credentials, egress, timeouts: TEST_TIMEOUTS }),
    seed: client.create,
    ...(changes !== 'unsupported' && {
      otherClient: () => ({
        folderId: null,
        ...client,
        losePositions: isFeed ? () => (shelf.epoch += 1) : null,
        limitFeedPages: isFeed ? (changes) => (shelf.maxChanges = changes) : null,
        addScope: null
      })
    }),
    busy: () => shelf.openBodies,
    missing: { folder: 'item-0', file: 'item-0' }
  }
}

for (const changes of ['unsupported', 'native', 'emulated'] as const) {
  t.test(`the contract holds at a provider of an application, changes: ${changes}`, async (t) => {
    backendContract(t, { name: 'shelf', open: (t) => openShelf(t, changes) })
  })
}

t.test('the contract holds through all layers', async (t) => {
  backendContract(t, { name: 'shelf', open: (t) => openShelf(t, 'native') }, { wrap: withAllLayers() })
})
