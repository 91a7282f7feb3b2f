import { isStorageError } from '../../domain/errors.ts'

/**
 * Returns whether `look` finds the object; `undefined` if it fails. Used only to describe a completed write, which
 * must not fail because of it.
 */
export async function isThere(look: () => Promise<unknown>): Promise<boolean | undefined> {
  try {
    await look()
    return true
  } catch (error) {
    return isStorageError(error, 'OBJECT_NOT_FOUND') ? false : undefined
  }
}
