import { isStorageError } from '../../domain/errors.ts'
import { databaseUnavailable, isDatabaseUnavailable } from './database-error.ts'

/**
 * Runs a query with a timeout in milliseconds.
 *
 * @throws StorageError `DATABASE_UNAVAILABLE`
 */
export async function answered<T>(query: () => PromiseLike<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(databaseUnavailable(new Error(`no response within ${String(timeoutMs)} ms`)))
    }, timeoutMs)
  })
  try {
    return await Promise.race([query(), deadline])
  } catch (error) {
    if (!isStorageError(error) && isDatabaseUnavailable(error)) throw databaseUnavailable(error)
    throw error
  } finally {
    clearTimeout(timer)
  }
}
