import { isStorageError } from '../../domain/errors.ts'
import type { Metrics } from '../../domain/metrics.ts'
import type { CredentialCipher } from '../../domain/ports.ts'

/** Counts unreadable credentials, so that a key that was removed too early is noticed at once. */
export function countUnreadable(
  cipher: CredentialCipher,
  metrics: Pick<Metrics, 'credentialsUnreadable'>
): CredentialCipher {
  return {
    ...cipher,
    open(sealed, binding) {
      try {
        return cipher.open(sealed, binding)
      } catch (error) {
        if (isStorageError(error, 'CREDENTIALS_UNREADABLE')) metrics.credentialsUnreadable(binding.provider)
        throw error
      }
    }
  }
}
