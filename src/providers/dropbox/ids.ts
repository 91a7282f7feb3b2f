import { failure, type Missing } from '../shared/http-failure.ts'

/** What `/`, `rev:` or `ns:` begins is a path or something else that Dropbox would take as one, and is no id. */
const FORM = /^id:[\w-]{1,200}$/

/** Whether Dropbox could have given such an id. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && FORM.test(value)
}

/** @throws StorageError `missing` for what can be no id: nothing is asked about it */
export function parseId(id: string, missing: Missing): string {
  if (!isId(id)) throw failure(missing)
  return id
}
