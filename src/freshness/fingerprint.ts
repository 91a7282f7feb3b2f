import type { Entry, EntryKind, EntryPage } from '../core/entry.ts'

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** Returns the 32-bit FNV-1a hash of a text in NFC. Two texts with one hash cost a reload, and nothing else. */
function hashText(text: string): number {
  const normalized = text.normalize('NFC')
  let hash = FNV_OFFSET
  for (let at = 0; at < normalized.length; at += 1) {
    const unit = normalized.charCodeAt(at)
    hash = Math.imul(hash ^ (unit & 0xff), FNV_PRIME)
    hash = Math.imul(hash ^ (unit >> 8), FNV_PRIME)
  }
  return hash >>> 0
}

export function hashId(id: string): number {
  return hashText(id)
}

/** Ignores the case, which some services do, and slashes at both ends, with which providers mark folders. */
export function hashPath(path: string): number {
  return hashText(comparablePath(path))
}

/** Returns a path as it is compared: in NFC and lower case, without slashes at both ends. */
export function comparablePath(path: string): string {
  let start = 0
  let end = path.length
  while (start < end && path[start] === '/') start += 1
  while (end > start && path[end - 1] === '/') end -= 1
  return path.slice(start, end).toLowerCase().normalize('NFC')
}

/** Returns the path of the folder that contains an item; `''` for the root. */
export function parentOfPath(path: string): string {
  const comparable = comparablePath(path)
  return comparable.slice(0, Math.max(0, comparable.lastIndexOf('/')))
}

/** A set of hashes, sorted: 4 bytes each, and found by binary search. */
export type Fingerprint = Uint32Array

export function createFingerprint(hashes: Iterable<number>): Fingerprint {
  return Uint32Array.from(new Set(hashes)).sort()
}

export function hasHash(fingerprint: Fingerprint, hash: number): boolean {
  let low = 0
  let high = fingerprint.length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const found = fingerprint[middle] as number
    if (found === hash) return true
    if (found < hash) low = middle + 1
    else high = middle - 1
  }
  return false
}

/** What a page shows: with it, the changes of a feed are compared. */
export interface PageContent {
  /** The id under which the folder was requested; `null` for the root. */
  readonly folderId: string | null
  /** The hashes of all known ids and paths of the folder. */
  readonly folder: Fingerprint
  /** The hashes of the ids, targets and paths of all entries, and those of `folder`. */
  readonly all: Fingerprint
  /** The hashes of the ids and paths of the entries that are folders. */
  readonly folders: Fingerprint
  /** The hashes of the targets of shortcuts, unless they are files. */
  readonly targets: Fingerprint
  /** It is the root, or lists drives: it may show items that are in no folder. */
  readonly isVirtual: boolean
  /** Its folder is in no other one: it is the root, or the provider says so. */
  readonly isTop: boolean
  /** It shows paths or permissions, which change with the names, places and permissions of the folders above. */
  readonly showsInherited: boolean
}

const NO_HASHES: Fingerprint = new Uint32Array()
/** Kinds of entries that contain others. A shortcut does not: its target is elsewhere. */
const FOLDER_KINDS: ReadonlySet<EntryKind> = new Set<EntryKind>(['folder', 'drive', 'package'])

export function describePage(folderId: string | null, { folder, entries, freshness }: EntryPage): PageContent {
  const own = hashesOfFolder(folderId)
  const all: number[] = []
  const folders: number[] = []
  const targets: number[] = []
  if (folder.id !== null) own.push(hashId(folder.id))
  for (const { id, path, kind, target, parentId } of entries) {
    const hashes = path === null ? [hashId(id)] : [hashId(id), hashPath(path)]
    all.push(...hashes)
    if (FOLDER_KINDS.has(kind)) folders.push(...hashes)
    if (target?.id != null) {
      const hash = hashId(target.id)
      all.push(hash)
      if (target.kind !== 'file') targets.push(hash)
    }
    // The folder's own id, which the response to a listing of the root or of a shortcut may not contain otherwise.
    if (parentId !== null) own.push(hashId(parentId))
    if (path !== null) own.push(hashPath(parentOfPath(path)))
  }
  return {
    folderId,
    folder: createFingerprint(own),
    all: createFingerprint([...all, ...own]),
    folders: createFingerprint(folders),
    targets: targets.length === 0 ? NO_HASHES : createFingerprint(targets),
    isVirtual: folderId === null || entries.some(({ kind }) => kind === 'drive'),
    isTop: folderId === null || (freshness?.scope !== undefined && freshness.isTop === true),
    showsInherited: entries.some(showsInherited)
  }
}

/**
 * Describes a page of which only the request is known: a load in flight, which is compared once more with its content,
 * or a page that is not covered.
 */
export function describeFolder(folderId: string | null): PageContent {
  const folder = createFingerprint(hashesOfFolder(folderId))
  const isRoot = folderId === null
  return {
    folderId,
    folder,
    all: folder,
    folders: NO_HASHES,
    targets: NO_HASHES,
    isVirtual: isRoot,
    isTop: isRoot,
    showsInherited: false
  }
}

function hashesOfFolder(folderId: string | null): number[] {
  return folderId === null ? [] : [hashId(folderId), hashPath(folderId)]
}

/** A provider that does not know who may write derives the other permissions from the kind of the entry. */
function showsInherited({ path, can }: Entry): boolean {
  return path !== null || can.write !== null
}
