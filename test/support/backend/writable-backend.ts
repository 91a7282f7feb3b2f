import type { Readable } from 'node:stream'
import type { Entry, EntryPage } from '../../../src/core/entry.ts'
import { StorageError } from '../../../src/errors.ts'
import type { Capabilities, UploadCall, UploadTarget } from '../../../src/core/backend.ts'
import { readBody } from '../app/read-body.ts'
import { entry, page, ScriptedBackend } from './scripted-backend.ts'

/**
 * An in-memory cloud with opaque IDs, in which a folder can have several IDs. A change takes effect even if the call
 * then fails.
 */
export class WritableBackend extends ScriptedBackend {
  override readonly capabilities: Capabilities
  /** By ID. */
  readonly entries = new Map<string, Entry>()
  /** Aliases of folders; the alias of the root is `top`. */
  readonly aliases = new Map<string | null, string>([[null, 'top']])
  /** Whether entries have a parent ID. */
  hasParentIds = true
  /** The error to throw after each change. */
  changeError: StorageError | null = null
  /** The folder IDs of all listing calls, in order. */
  readonly folders: (string | null)[] = []
  /** Delays a response after its listing was made. */
  hold: (folderId: string | null) => Promise<void> = async () => {}
  #lastNumber = 0

  constructor(abilities: Partial<Capabilities> = {}) {
    super()
    const all = { upload: 'native', createOnly: 'native', updateIfMatch: 'native', atomicReplace: 'native' } as const
    const folders = { remove: 'native', createFolder: 'native' } as const
    this.capabilities = { ...new ScriptedBackend().capabilities, ...all, ...folders, ...abilities }
  }

  /** Adds an entry to a folder, which may be given by any of its IDs. */
  add(name: string, overrides: Partial<Entry> = {}): Entry {
    const id = `id${++this.#lastNumber}`
    const made = entry(id, { name, parentId: 'top', version: `v${this.#lastNumber}`, ...overrides })
    this.entries.set(id, made)
    return made
  }

  override async listFolder(folderId: string | null): Promise<EntryPage> {
    this.folders.push(folderId)
    const id = this.#canonicalId(folderId)
    const entries = [...this.entries.values()].filter(({ parentId }) => parentId === id)
    await this.hold(folderId)
    return { ...page(entries.map((each) => this.#toResponse(each))), folder: { id, name: null, parentId: null } }
  }

  override stat(id: string): Promise<Entry> {
    const found = this.entries.get(id)
    if (found !== undefined) return Promise.resolve(this.#toResponse(found))
    return Promise.reject(new StorageError('OBJECT_NOT_FOUND', 'The object was not found.'))
  }

  readonly upload = async (target: UploadTarget, body: Readable, { ifMatch }: UploadCall): Promise<Entry> => {
    const size = (await readBody(body)).length
    const existing = 'id' in target ? this.entries.get(target.id) : undefined
    if (existing !== undefined && ifMatch !== undefined && existing.version !== ifMatch) {
      throw new StorageError('PRECONDITION_FAILED', 'Another version.')
    }
    const made =
      'id' in target
        ? { ...existing!, size, version: `v${++this.#lastNumber}` }
        : this.add(target.name, { size, parentId: this.#canonicalId(target.parentId) })
    this.entries.set(made.id, made)
    return this.#completeChange(made)
  }

  readonly remove = async (id: string): Promise<void> => {
    const existing = this.entries.get(id)
    this.entries.delete(id)
    if (existing !== undefined) this.#completeChange(existing)
  }

  readonly createFolder = async (parentId: string | null, name: string): Promise<Entry> =>
    this.#completeChange(this.add(name, { kind: 'folder', parentId: this.#canonicalId(parentId) }))

  #completeChange(made: Entry): Entry {
    if (this.changeError !== null) throw this.changeError
    return this.#toResponse(made)
  }

  #toResponse(made: Entry): Entry {
    return this.hasParentIds ? made : { ...made, parentId: null }
  }

  #canonicalId(folderId: string | null): string {
    return this.aliases.get(folderId) ?? folderId ?? 'top'
  }
}
