import { isStorageError } from '../../domain/errors.ts'

/**
 * Whether a look finds something; `undefined` where it cannot tell. Nothing depends on it but what is told of a write,
 * which must not fail for it.
 */
export async function isThere(look: () => Promise<unknown>): Promise<boolean | undefined> {
  try {
    await look()
    return true
  } catch (error) {
    return isStorageError(error, 'OBJECT_NOT_FOUND') ? false : undefined
  }
}
