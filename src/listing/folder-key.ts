/** Which folder, of whom. */
export interface FolderKey {
  readonly userId: string
  readonly provider: string
  /** `null`: the root. */
  readonly folderId: string | null
  readonly connectionId?: string
  /** Tells apart what is kept of one folder: its pages, for instance. */
  readonly variant?: string
}

/**
 * Joins parts so that no two lists of parts meet, whatever characters they hold: each stands behind its length.
 * (`a:b` + `c` joined by a colon is `a` + `b:c`.)
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
