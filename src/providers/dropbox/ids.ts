import { failure, type Missing } from '../shared/http-failure.ts'

/** A value that starts with `/`, `rev:` or `ns:` is a path, or is taken for one by Dropbox, and not an id. */
const FORM = /^id:[\w-]{1,200}$/

/** Returns whether a value has the format of a Dropbox id. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && FORM.test(value)
}

/** @throws StorageError `missing` for an invalid id, without a request */
export function parseId(id: string, missing: Missing): string {
  if (!isId(id)) throw failure(missing)
  return id
}
