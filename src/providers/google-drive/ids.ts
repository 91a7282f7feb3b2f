import { failure, type Missing } from '../shared/http-failure.ts'

/**
 * The one name that the root of My Drive has here. Google takes it too, and calls the root by its own id in answers.
 */
export const ROOT = 'root'

/** An item, with the key that old links need (Google's "Access link-shared files using resource keys"). */
export interface DriveId {
  readonly id: string
  readonly resourceKey: string | null
}

const FORM = /^([\w-]{1,200})(?:\/([\w-]{1,200}))?$/

/**
 * Reads an id that we gave out: `ID`, or `ID/KEY`.
 *
 * @throws StorageError `missing` for what can be no id: nothing is asked about it
 */
export function parseId(id: string, missing: Missing): DriveId {
  const [, bare, resourceKey = null] = FORM.exec(id) ?? []
  if (bare === undefined) throw failure(missing)
  return { id: bare, resourceKey }
}

/** The id that we give out. */
export function formatId(id: string, resourceKey: string | null | undefined): string {
  return resourceKey === null || resourceKey === undefined || resourceKey === '' ? id : `${id}/${resourceKey}`
}

export function keyHeader(about: DriveId | undefined): Record<string, string> {
  if (about === undefined || about.resourceKey === null) return {}
  return { 'x-goog-drive-resource-keys': formatId(about.id, about.resourceKey) }
}
