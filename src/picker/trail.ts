import type { FolderInfo } from '../domain/entry.ts'

/** One step of the path to a folder. `name` is `null` until a listing provides it. */
export interface Crumb {
  readonly id: string | null
  readonly name: string | null
}

/** The path from the root of a connection to the current folder. It always contains the root. */
export type Trail = readonly Crumb[]

/** @param folderId `null` for the root itself */
export function trailTo(root: string, folderId: string | null): Trail {
  const crumbs: Crumb[] = [{ id: null, name: root }]
  if (folderId !== null) crumbs.push({ id: folderId, name: null })
  return crumbs
}

/**
 * Adds the name of the last step from a listing. If the user started in the middle of a tree, the parent is missing:
 * it is inserted without a name, so that the user can navigate up.
 */
export function told(trail: Trail, { id, name, parentId }: FolderInfo): Trail {
  const last = trail.at(-1)
  if (last === undefined || last.id === null || last.name !== null) return trail
  const above = trail.slice(0, -1)
  if (trail.length === 2 && parentId !== null && parentId !== id) above.push({ id: parentId, name: null })
  return [...above, { id: last.id, name }]
}
