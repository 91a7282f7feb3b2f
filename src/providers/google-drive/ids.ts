import { failure, type Missing } from '../shared/http-failure.ts'

/** The only id of the root of My Drive here. Google accepts it too, but uses the root's own id in responses. */
export const ROOT = 'root'

/** An item, with the key that old links need (Google's "Access link-shared files using resource keys"). */
export interface DriveId {
  readonly id: string
  readonly resourceKey: string | null
}

const FORM = /^([\w-]{1,200})(?:\/([\w-]{1,200}))?$/

/**
 * Parses an id issued by this backend: `ID`, or `ID/KEY`.
 *
 * @throws StorageError `missing` for an invalid id, without a request
 */
export function parseId(id: string, missing: Missing): DriveId {
  const [, bare, resourceKey = null] = FORM.exec(id) ?? []
  if (bare === undefined) throw failure(missing)
  return { id: bare, resourceKey }
}

/** Formats the id that clients receive. */
export function formatId(id: string, resourceKey: string | null | undefined): string {
  return resourceKey === null || resourceKey === undefined || resourceKey === '' ? id : `${id}/${resourceKey}`
}

export function keyHeader(about: DriveId | undefined): Record<string, string> {
  if (about === undefined || about.resourceKey === null) return {}
  return { 'x-goog-drive-resource-keys': formatId(about.id, about.resourceKey) }
}
