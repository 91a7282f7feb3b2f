import type { StorageBackend } from '../core/backend.ts'
import { raceSignal } from '../core/time.ts'
import type { Attempt } from '../core/user-limits.ts'
import { isStorageError, StorageError } from '../errors.ts'
import type { CallRunner } from './layer.ts'

/** Limits the refused logins of one user at one host. */
export interface FailedLoginLimit {
  /** Begins a login that may be refused. @throws StorageError `TOO_MANY_REQUESTS` */
  begin(): Attempt
  /** Returns the error for one more login that may be refused; `undefined` if it may be made. */
  limitError(): StorageError | undefined
}

export interface ReauthOptions {
  /** Stores that the connection must be made again. */
  readonly requireReauth: () => Promise<void>
  /** Limits how often refused credentials are sent to a host that may lock out all users of this server. */
  readonly limit: FailedLoginLimit | undefined
}

/**
 * Distinguishes invalid credentials from a single refused call: after a 401 it calls `account()`, and gives the
 * credentials up only if that is refused with a 401, too. One such check serves all waiting calls, including calls
 * that begin meanwhile. Credentials known to be invalid are never sent again.
 *
 * @param account the backend's, for the check
 */
export function withReauth(
  next: CallRunner,
  account: StorageBackend['account'],
  { requireReauth, limit }: ReauthOptions
): CallRunner {
  let pendingCheck: Promise<boolean> | undefined
  let isVerified = false
  let needsCheck = false
  let isInvalid = false

  /** Uses no caller's signal: several callers may wait. The deadline layer inside ends the call. */
  async function areCredentialsRejected(): Promise<boolean> {
    try {
      await next('account', { signal: new AbortController().signal }, account)
      return false
    } catch (error) {
      return isStorageError(error) && error.credentialsRefused
    }
  }
  async function checkCredentials(): Promise<boolean> {
    const attempt = limit?.begin()
    isInvalid = await areCredentialsRejected()
    attempt?.end(isInvalid)
    needsCheck = false
    return isInvalid
  }
  const checkOnce = (): Promise<boolean> => {
    pendingCheck ??= checkCredentials().finally(() => {
      pendingCheck = undefined
    })
    return pendingCheck
  }
  async function throwInactive(cause?: unknown): Promise<never> {
    await requireReauth()
    throw new StorageError('CONNECTION_INACTIVE', 'The provider no longer accepts this connection. Connect again.', {
      cause
    }).about({ connectionStatus: 'REQUIRES_REAUTH' })
  }
  /** Rejects if the credentials must not be sent. */
  async function assertUsable(signal: AbortSignal): Promise<void> {
    if (pendingCheck !== undefined || needsCheck) await raceSignal(checkOnce(), signal)
    if (isInvalid) await throwInactive()
    const limitError = isVerified ? undefined : limit?.limitError()
    if (limitError !== undefined) throw limitError
  }

  return async (method, call, run) => {
    await assertUsable(call.signal)
    // A refused channel says nothing about the credentials.
    if (method === 'waitForChange') return await next(method, call, run)
    try {
      const result = await next(method, call, run)
      isVerified = true
      return result
    } catch (error) {
      if (!isStorageError(error) || !error.credentialsRefused) throw error
      const attempt = limit?.limitError() === undefined ? limit?.begin() : undefined
      try {
        if (method === 'account') isInvalid = true
        else needsCheck = true
        if (!isInvalid) await checkOnce()
      } finally {
        // With valid credentials it was no refused login. The next call makes a check that the budget forbids now.
        attempt?.end(isInvalid || needsCheck)
      }
      if (!isInvalid) throw error
      return await throwInactive(error)
    }
  }
}
