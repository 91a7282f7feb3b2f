import { isStorageError, StorageError } from '../errors.ts'
import type { StorageBackend } from '../core/backend.ts'
import { untilAborted } from '../core/time.ts'
import type { Attempt } from '../core/user-limits.ts'
import { aroundEach } from './layer.ts'

/** Limits the refused logins of one user at one host. */
export interface RefusalBudget {
  /** Begins a login that may be refused. @throws StorageError `TOO_MANY_REQUESTS` */
  begin(): Attempt
  /** Returns the error for one more login that may be refused; `undefined` if it may be made. */
  refusal(): StorageError | undefined
}

/**
 * Distinguishes invalid credentials from a single refused call: after a 401 it calls `account()`, and gives the
 * credentials up only if that is refused with a 401, too. One such check serves all waiting calls, including calls
 * that begin meanwhile. Credentials known to be invalid are never sent again.
 *
 * @param giveUp stores that the connection must be made again
 * @param budget limits how often refused credentials are sent to a host that may lock out all users of this server
 */
export function withConfirmedRefusal(
  backend: StorageBackend,
  giveUp: () => Promise<void>,
  budget?: RefusalBudget
): StorageBackend {
  let asking: Promise<boolean> | undefined
  let isProven = false
  let isUnconfirmed = false
  let isDead = false

  async function ask(): Promise<boolean> {
    const attempt = budget?.begin()
    isDead = await isRefused(backend)
    attempt?.end(isDead)
    isUnconfirmed = false
    return isDead
  }
  const areDead = (): Promise<boolean> => {
    asking ??= ask().finally(() => {
      asking = undefined
    })
    return asking
  }
  async function end(cause?: unknown): Promise<never> {
    await giveUp()
    throw new StorageError('CONNECTION_INACTIVE', 'The provider no longer accepts this connection. Connect again.', {
      cause
    }).about({ connectionStatus: 'REQUIRES_REAUTH' })
  }
  /** Rejects if the credentials must not be sent. */
  async function admit(signal: AbortSignal): Promise<void> {
    if (asking !== undefined || isUnconfirmed) await untilAborted(areDead(), signal)
    if (isDead) await end()
    const refusal = isProven ? undefined : budget?.refusal()
    if (refusal !== undefined) throw refusal
  }

  return aroundEach(backend, async (call, signal, run) => {
    await admit(signal)
    try {
      const answer = await run(signal)
      isProven = true
      return answer
    } catch (error) {
      if (!isStorageError(error) || !error.credentialsRefused) throw error
      const attempt = budget?.refusal() === undefined ? budget?.begin() : undefined
      try {
        if (call === 'account') isDead = true
        else isUnconfirmed = true
        if (!isDead) await areDead()
      } finally {
        // With valid credentials it was no refused login. The next call makes a check that the budget forbids now.
        attempt?.end(isDead || isUnconfirmed)
      }
      if (!isDead) throw error
      return await end(error)
    }
  })
}

/** Uses no caller's signal: several callers may wait. The deadline layer inside ends the call. */
async function isRefused(backend: StorageBackend): Promise<boolean> {
  try {
    await backend.account({ signal: new AbortController().signal })
    return false
  } catch (error) {
    return isStorageError(error) && error.credentialsRefused
  }
}
