import { type FolderKey, joinKey } from './folder-key.ts'

/** Something that is kept or being loaded for a folder. */
export interface Slot {
  readonly folder: FolderKey
}

/** One name → the slots below it. */
class SlotGroups<S extends Slot> {
  readonly #groups = new Map<string, Set<S>>()

  add(name: string, slot: S): void {
    const group = this.#groups.get(name)
    if (group === undefined) this.#groups.set(name, new Set([slot]))
    else group.add(slot)
  }

  delete(name: string, slot: S): void {
    const group = this.#groups.get(name)
    if (group?.delete(slot) === true && group.size === 0) this.#groups.delete(name)
  }

  /** A copy: the caller will delete what it walks over. */
  of(name: string): S[] {
    return [...(this.#groups.get(name) ?? [])]
  }
}

/** Finds what an invalidation drops, at a cost in proportion to that and not to the size of the cache. */
export class SlotIndex<S extends Slot> {
  readonly #providers = new SlotGroups<S>()
  readonly #folders = new SlotGroups<S>()
  readonly #connections = new SlotGroups<S>()

  add(slot: S): void {
    const { userId, provider, folderId, connectionId } = slot.folder
    this.#providers.add(joinKey(userId, provider), slot)
    this.#folders.add(joinKey(userId, provider, folderId), slot)
    if (connectionId !== undefined) this.#connections.add(connectionId, slot)
  }

  delete(slot: S): void {
    const { userId, provider, folderId, connectionId } = slot.folder
    this.#providers.delete(joinKey(userId, provider), slot)
    this.#folders.delete(joinKey(userId, provider, folderId), slot)
    if (connectionId !== undefined) this.#connections.delete(connectionId, slot)
  }

  ofProvider(userId: string, provider: string): S[] {
    return this.#providers.of(joinKey(userId, provider))
  }

  ofConnection(connectionId: string): S[] {
    return this.#connections.of(connectionId)
  }

  ofFolder(folder: FolderKey): S[] {
    const slots = this.#folders.of(joinKey(folder.userId, folder.provider, folder.folderId))
    if (folder.connectionId === undefined) return slots
    return slots.filter((slot) => slot.folder.connectionId === folder.connectionId)
  }
}
