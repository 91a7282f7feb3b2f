import { isStorageError, StorageError } from '../domain/errors.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import { aroundEach } from './around-each.ts'

/**
 * Tells a connection whose credentials are dead from a call that was refused: after a 401 the provider is asked who
 * this is, and only where that is a 401 too the credentials are given up. One such question serves all who wait.
 *
 * @param giveUp stores that the connection must be made anew
 */
export function withConfirmedRefusal(backend: StorageBackend, giveUp: () => Promise<void>): StorageBackend {
  let asking: Promise<boolean> | undefined
  const areDead = (): Promise<boolean> => {
    asking ??= ask(backend).finally(() => {
      asking = undefined
    })
    return asking
  }
  return aroundEach(backend, async (call, signal, run) => {
    try {
      return await run(signal)
    } catch (error) {
      if (!isStorageError(error) || !error.credentialsRefused) throw error
      if (call !== 'account' && !(await areDead())) throw error
      await giveUp()
      throw new StorageError('CONNECTION_INACTIVE', 'The provider no longer accepts this connection: connect again.', {
        cause: error
      }).about({ connectionStatus: 'REQUIRES_REAUTH' })
    }
  })
}

/** Not the caller's own signal: several may wait, and the deadline within ends it. */
async function ask(backend: StorageBackend): Promise<boolean> {
  try {
    await backend.account({ signal: new AbortController().signal })
    return false
  } catch (error) {
    return isStorageError(error) && error.credentialsRefused
  }
}
