/** A user's folder. */
export interface FolderKey {
  readonly userId: string
  readonly provider: string
  /** `null`: the root. */
  readonly folderId: string | null
  readonly connectionId?: string
  /** Distinguishes the cached values of one folder, such as its pages. */
  readonly variant?: string
}

/**
 * Joins parts injectively, whatever characters they contain: each is prefixed with its length. (`a:b` + `c` joined by
 * a colon equals `a` + `b:c`.)
 */
export function joinKey(...parts: readonly (string | null | undefined)[]): string {
  let key = ''
  for (const part of parts) {
    if (part === undefined) key += '-'
    else if (part === null) key += '0'
    else key += `${part.length}:${part}`
  }
  return key
}

export function folderKeyText(key: FolderKey): string {
  return joinKey(key.userId, key.provider, key.folderId, key.connectionId, key.variant)
}
