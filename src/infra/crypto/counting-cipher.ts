import { isStorageError } from '../../domain/errors.ts'
import type { CredentialCipher, Metrics } from '../../domain/ports.ts'

/** Counts what cannot be read: a key that was removed too early shows at once, and not user by user. */
export function countUnreadable(cipher: CredentialCipher, metrics: Metrics): CredentialCipher {
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
