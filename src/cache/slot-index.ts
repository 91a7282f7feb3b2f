import type { FolderKey } from './types.ts'

/** A cached entry or a load of a folder. */
export abstract class Slot {
  readonly folder: FolderKey
  /** Managed by the index: the slot's group; `undefined` while it is not indexed. */
  group: SlotGroup | undefined
  /** Managed by the index: the next slot of the same folder. */
  next: Slot | undefined
  /** Managed by the index: a text that stands for the whole key. */
  alias: string | undefined

  constructor(folder: FolderKey) {
    this.folder = folder
  }
}

/** The slots of one connection. */
interface SlotGroup {
  readonly user: UserSlots
  readonly slots: Set<Slot>
}

interface UserSlots {
  readonly userId: string
  /** The head of each folder's linked list of slots. Nearly all lists have one element. */
  readonly folders: Map<FolderKey['folderId'], Slot>
  readonly aliases: Map<string, Slot>
  /** By provider, then by connection. */
  readonly providers: Map<string, Map<string | undefined, SlotGroup>>
}

/**
 * Finds the slot of a key by its separate parts. No string is joined from them, so keys cannot collide. Also finds
 * the slots that an invalidation drops, in time proportional to their number and not to the size of the cache.
 */
export class SlotIndex<S extends Slot> {
  readonly #users = new Map<string, UserSlots>()
  /** The owner is not checked here: several users may use the same connection id. */
  readonly #connections = new Map<string, Set<SlotGroup>>()

  /** Returns the slot of exactly this key. */
  find(key: FolderKey): S | undefined {
    let slot = this.#users.get(key.userId)?.folders.get(key.folderId)
    while (slot !== undefined) {
      const { variant, connectionId, provider } = slot.folder
      if (variant === key.variant && connectionId === key.connectionId && provider === key.provider) return slot as S
      slot = slot.next
    }
    return undefined
  }

  /** Returns the slot with this alias. */
  findAlias(userId: string, alias: string): S | undefined {
    return this.#users.get(userId)?.aliases.get(alias) as S | undefined
  }

  /** Sets the only alias of an indexed slot. A slot that had the alias loses it. */
  setAlias(slot: S, alias: string): void {
    const { group } = slot
    if (group === undefined || slot.alias === alias) return
    removeAlias(group.user, slot)
    const previous = group.user.aliases.get(alias)
    if (previous !== undefined) previous.alias = undefined
    slot.alias = alias
    group.user.aliases.set(alias, slot)
  }

  /** Adds a slot. Its key must not have one yet. */
  add(slot: S): void {
    const { userId, folderId } = slot.folder
    const user = getOrAdd<string, UserSlots>(this.#users, userId, () => ({
      userId,
      folders: new Map(),
      aliases: new Map(),
      providers: new Map()
    }))
    slot.group = this.#getOrAddGroup(user, slot.folder)
    slot.group.slots.add(slot)
    slot.next = user.folders.get(folderId)
    user.folders.set(folderId, slot)
  }

  delete(slot: S): void {
    const { group } = slot
    if (group === undefined) return
    slot.group = undefined
    unlink(group.user.folders, slot)
    removeAlias(group.user, slot)
    group.slots.delete(slot)
    if (group.slots.size === 0) this.#deleteGroup(group, slot.folder)
  }

  // These return copies, since callers delete slots while they iterate.

  findByProvider(userId: string, provider: string): S[] {
    return slotsOf<S>(this.#users.get(userId)?.providers.get(provider)?.values())
  }

  findByConnection(connectionId: string): S[] {
    return slotsOf<S>(this.#connections.get(connectionId))
  }

  /** Returns a folder's slots of one connection, or without `connectionId` of all connections. */
  findByFolder({ userId, provider, folderId, connectionId }: Omit<FolderKey, 'variant'>): S[] {
    const found: S[] = []
    let slot = this.#users.get(userId)?.folders.get(folderId)
    while (slot !== undefined) {
      const matchesConnection = connectionId === undefined || slot.folder.connectionId === connectionId
      if (matchesConnection && slot.folder.provider === provider) found.push(slot as S)
      slot = slot.next
    }
    return found
  }

  all(): S[] {
    return [...this.#users.values()].flatMap(({ providers }) =>
      [...providers.values()].flatMap((groups) => slotsOf<S>(groups.values()))
    )
  }

  #getOrAddGroup(user: UserSlots, { provider, connectionId }: FolderKey): SlotGroup {
    const groups = getOrAdd(user.providers, provider, () => new Map<string | undefined, SlotGroup>())
    return getOrAdd(groups, connectionId, () => {
      const group: SlotGroup = { user, slots: new Set() }
      if (connectionId !== undefined) getOrAdd(this.#connections, connectionId, () => new Set<SlotGroup>()).add(group)
      return group
    })
  }

  #deleteGroup(group: SlotGroup, { provider, connectionId }: FolderKey): void {
    const { user } = group
    const groups = user.providers.get(provider)
    groups?.delete(connectionId)
    if (groups?.size === 0) user.providers.delete(provider)
    if (user.providers.size === 0) this.#users.delete(user.userId)
    if (connectionId === undefined) return
    const connections = this.#connections.get(connectionId)
    connections?.delete(group)
    if (connections?.size === 0) this.#connections.delete(connectionId)
  }
}

function unlink(folders: UserSlots['folders'], slot: Slot): void {
  const { next } = slot
  const { folderId } = slot.folder
  slot.next = undefined
  const head = folders.get(folderId)
  if (head === slot) {
    if (next === undefined) folders.delete(folderId)
    else folders.set(folderId, next)
    return
  }
  let previous = head
  while (previous !== undefined && previous.next !== slot) previous = previous.next
  if (previous !== undefined) previous.next = next
}

function removeAlias(user: UserSlots, slot: Slot): void {
  if (slot.alias === undefined) return
  user.aliases.delete(slot.alias)
  slot.alias = undefined
}

function slotsOf<S extends Slot>(groups: Iterable<SlotGroup> | undefined): S[] {
  const found: S[] = []
  for (const { slots } of groups ?? []) found.push(...(slots as Set<S>))
  return found
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  const existing = map.get(key)
  if (existing !== undefined) return existing
  const created = create()
  map.set(key, created)
  return created
}
