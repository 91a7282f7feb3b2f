import { inspect } from 'node:util'
import { isStorageError, type StorageError } from '../../src/errors.ts'

/** Returns the reason with which the promise rejects; `undefined` if it fulfills. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (reason: unknown) => reason
  )
}

/** Returns the StorageError with which the promise rejects. Any other outcome is an error. */
export async function failureOf(promise: Promise<unknown>): Promise<StorageError> {
  const reason = await rejectionOf(promise)
  if (!isStorageError(reason)) throw new Error(`no StorageError: ${inspect(reason)}`, { cause: reason })
  return reason
}
