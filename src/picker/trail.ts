import type { FolderInfo } from '../domain/entry.ts'

/** One step of the way to a folder. `name` is `null` where nobody has told it. */
export interface Crumb {
  readonly id: string | null
  readonly name: string | null
}

/** The way from the root of a connection to the folder that is shown; it has at least its root. */
export type Trail = readonly Crumb[]

/** @param folderId `null` for the root itself */
export function trailTo(root: string, folderId: string | null): Trail {
  const crumbs: Crumb[] = [{ id: null, name: root }]
  if (folderId !== null) crumbs.push({ id: folderId, name: null })
  return crumbs
}

/**
 * The trail with what a listing told of its last step. Who began in the middle of a tree came past no parent: it is
 * put in between, without a name, so that there is a way up.
 */
export function told(trail: Trail, { id, name, parentId }: FolderInfo): Trail {
  const last = trail.at(-1)
  if (last === undefined || last.id === null || last.name !== null) return trail
  const above = trail.slice(0, -1)
  if (trail.length === 2 && parentId !== null && parentId !== id) above.push({ id: parentId, name: null })
  return [...above, { id: last.id, name }]
}
