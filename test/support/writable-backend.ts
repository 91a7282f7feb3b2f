import type { Readable } from 'node:stream'
import type { Entry, EntryPage } from '../../src/domain/entry.ts'
import { StorageError } from '../../src/domain/errors.ts'
import type { Capabilities, UploadCall, UploadTarget } from '../../src/domain/storage-backend.ts'
import { readBody } from './read-body.ts'
import { entry, page, ScriptedBackend } from './scripted-backend.ts'

/**
 * A cloud in memory whose ids say nothing, and in which folders go by several of them. What it was asked to change it
 * has changed, also where it then fails.
 */
export class WritableBackend extends ScriptedBackend {
  override readonly capabilities: Capabilities
  /** By id. */
  readonly entries = new Map<string, Entry>()
  /** Other names of folders; the root's own is `top`. */
  readonly aliases = new Map<string | null, string>([[null, 'top']])
  /** Whether entries tell where they are. */
  tellsParents = true
  /** Fails so after each change. */
  failsWith: StorageError | null = null
  /** By which names it was listed so far, in the order of the calls. */
  readonly folders: (string | null)[] = []
  /** Waits before a listing is answered, which was made before. */
  hold: (folderId: string | null) => Promise<void> = async () => {}
  #ids = 0

  constructor(abilities: Partial<Capabilities> = {}) {
    super()
    const all = { upload: 'native', createOnly: 'native', updateIfMatch: 'native', atomicReplace: 'native' } as const
    const folders = { remove: 'native', createFolder: 'native' } as const
    this.capabilities = { ...new ScriptedBackend().capabilities, ...all, ...folders, ...abilities }
  }

  /** What is in a folder that goes by one of its names. */
  add(name: string, over: Partial<Entry> = {}): Entry {
    const id = `id${++this.#ids}`
    const made = entry(id, { name, parentId: 'top', version: `v${this.#ids}`, ...over })
    this.entries.set(id, made)
    return made
  }

  override async listFolder(folderId: string | null): Promise<EntryPage> {
    this.folders.push(folderId)
    const id = this.#own(folderId)
    const entries = [...this.entries.values()].filter(({ parentId }) => parentId === id)
    await this.hold(folderId)
    return { ...page(entries.map((each) => this.#told(each))), folder: { id, name: null, parentId: null } }
  }

  override stat(id: string): Promise<Entry> {
    const found = this.entries.get(id)
    if (found !== undefined) return Promise.resolve(this.#told(found))
    return Promise.reject(new StorageError('OBJECT_NOT_FOUND', 'There is no such object.'))
  }

  readonly upload = async (target: UploadTarget, body: Readable, { ifMatch }: UploadCall): Promise<Entry> => {
    const size = (await readBody(body)).length
    const before = 'id' in target ? this.entries.get(target.id) : undefined
    if (before !== undefined && ifMatch !== undefined && before.version !== ifMatch) {
      throw new StorageError('PRECONDITION_FAILED', 'Another version.')
    }
    const made =
      'id' in target
        ? { ...before!, size, version: `v${++this.#ids}` }
        : this.add(target.name, { size, parentId: this.#own(target.parentId) })
    this.entries.set(made.id, made)
    return this.#changed(made)
  }

  readonly remove = async (id: string): Promise<void> => {
    const before = this.entries.get(id)
    this.entries.delete(id)
    if (before !== undefined) this.#changed(before)
  }

  readonly createFolder = async (parentId: string | null, name: string): Promise<Entry> =>
    this.#changed(this.add(name, { kind: 'folder', parentId: this.#own(parentId) }))

  #changed(made: Entry): Entry {
    if (this.failsWith !== null) throw this.failsWith
    return this.#told(made)
  }

  #told(made: Entry): Entry {
    return this.tellsParents ? made : { ...made, parentId: null }
  }

  #own(folderId: string | null): string {
    return this.aliases.get(folderId) ?? folderId ?? 'top'
  }
}
