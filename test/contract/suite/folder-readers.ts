import type { StorageBackend } from '../../../src/core/backend.ts'
import type { Entry, EntryPage } from '../../../src/core/entry.ts'
import { isStorageError } from '../../../src/errors.ts'
import { createTestListing } from '../../support/listing/listing.ts'
import { Deferred } from '../../support/time/deferred.ts'
import { callOptions, find } from './arrange.ts'

/** The interval of checks in {@link createTestListing}, in milliseconds. */
const CHECK_MS = 15_000
const LIMIT = 1000

/** A load whose response has been received, and not returned. */
interface HeldLoad {
  readonly received: Deferred<void>
  readonly released: Deferred<void>
}

/** Readers of folders of one connection, by path, through the cache of the plugin. */
export class FolderReaders {
  readonly #backend: StorageBackend
  readonly #omittedFields: readonly string[]
  readonly #listing: ReturnType<typeof createTestListing>
  /** By path; `null` is the root. */
  readonly #folderIds = new Map<string, string | null>()
  readonly #held = new Map<string | null, HeldLoad>()

  private constructor(backend: StorageBackend, omittedFields: readonly string[]) {
    this.#backend = backend
    this.#omittedFields = omittedFields
    const position = backend.position?.bind(backend)
    const changes = backend.changes?.bind(backend)
    const isCurrent = backend.isCurrent?.bind(backend)
    const held: StorageBackend = {
      provider: backend.provider,
      capabilities: backend.capabilities,
      listFolder: async (folderId, call) => {
        const page = await backend.listFolder(folderId, call)
        const load = this.#held.get(folderId)
        load?.received.resolve()
        await load?.released.promise
        return page
      },
      stat: backend.stat.bind(backend),
      download: backend.download.bind(backend),
      account: backend.account.bind(backend),
      ...(position && { position }),
      ...(changes && { changes }),
      ...(isCurrent && { isCurrent })
    }
    this.#listing = createTestListing({ leaseMs: 1_000_000_000, freshness: {}, open: async () => held })
    this.#listing.connections.add()
  }

  /**
   * @param top the folder that the paths begin at
   * @param omittedFields names of fields that are not compared
   */
  static async open(
    backend: StorageBackend,
    top: string | null,
    paths: readonly string[],
    omittedFields: readonly string[] = []
  ): Promise<FolderReaders> {
    const readers = new FolderReaders(backend, omittedFields)
    for (const path of paths) readers.addFolder(path, path === '' ? top : (await find(backend, path, top)).id)
    return readers
  }

  /** Adds folders by their paths below another one. */
  async addFolders(top: string, paths: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, path] of Object.entries(paths)) {
      this.addFolder(name, path === '' ? top : (await find(this.#backend, path, top)).id)
    }
  }

  addFolder(path: string, folderId: string | null): void {
    this.#folderIds.set(path, folderId)
  }

  get paths(): string[] {
    return [...this.#folderIds.keys()]
  }

  /** The outcomes of all checks. */
  get outcomes(): string[] {
    return this.#listing.checks.map(([, , outcome]) => outcome)
  }

  /** Loads all pages. The first load shows the scope of a page, whose position must precede the load that is cached. */
  async load(paths: readonly string[] = this.paths): Promise<void> {
    for (const path of [...paths, ...paths]) await this.read(path, true)
  }

  /** Lets the time between two checks pass. */
  expire(): void {
    this.#listing.clock.tick(CHECK_MS)
  }

  /** Begins to load a page. Resolves when the response has been received, which `release` returns to the reader. */
  async hold(path: string): Promise<{ readonly release: () => Promise<void> }> {
    const folderId = this.#folderId(path)
    const load = { received: new Deferred<void>(), released: new Deferred<void>() }
    this.#held.set(folderId, load)
    const reading = this.read(path, true)
    await load.received.promise
    this.#held.delete(folderId)
    const release = async () => {
      load.released.resolve()
      await reading
    }
    return { release }
  }

  async read(path: string, refresh = false) {
    try {
      const { body, status, isCovered } = await this.#listing.list({
        folderId: this.#folderId(path),
        limit: LIMIT,
        refresh
      })
      const showsInherited = body.entries.some(({ path, can }) => path !== null || can.write !== null)
      return { content: this.#toText(body), isHit: status.outcome === 'hit', isCovered, showsInherited }
    } catch (error) {
      if (!isStorageError(error)) throw error
      return { content: error.code, isHit: false, isCovered: false, showsInherited: false }
    }
  }

  async readAll() {
    const pages = new Map<string, Awaited<ReturnType<FolderReaders['read']>>>()
    for (const path of this.paths) pages.set(path, await this.read(path))
    return pages
  }

  /** Returns the content of a folder at the provider. */
  async contentOf(path: string): Promise<string> {
    try {
      return this.#toText(await this.#backend.listFolder(this.#folderId(path), { ...callOptions(), limit: LIMIT }))
    } catch (error) {
      if (!isStorageError(error)) throw error
      return error.code
    }
  }

  #folderId(path: string): string | null {
    const folderId = this.#folderIds.get(path)
    if (folderId === undefined) throw new Error(`${path} is not read`)
    return folderId
  }

  /** The listing of the cache has another order. */
  #toText({ folder, entries }: Pick<EntryPage, 'folder' | 'entries'>): string {
    const byId = (a: Entry, b: Entry) => (a.id < b.id ? -1 : 1)
    return JSON.stringify([folder, [...entries].sort(byId)], (name, value: unknown) =>
      this.#omittedFields.includes(name) ? undefined : value
    )
  }
}
