import type { SealedConnection } from '../core/connection.ts'
import type { CredentialCipher } from '../core/stores.ts'
import { withTimeout } from '../core/time.ts'
import type { ProviderCatalog } from './provider-catalog.ts'
import { parseTokens, type StoredTokens } from './tokens.ts'

export type RevokedConnection = Pick<SealedConnection, 'id' | 'provider'>

export interface RevocationsOptions {
  readonly cipher: CredentialCipher
  readonly providers: ProviderCatalog
  /** Timeout of a revocation. */
  readonly timeoutMs: number
  /** Called if the provider may still accept credentials that were deleted here. */
  readonly onFailure: (connection: RevokedConnection, error: unknown) => void
}

/**
 * Revokes the credentials of removed connections at their providers in the background, on a best-effort basis.
 * Failures are reported only to the operator. The credentials are deleted here in any case.
 */
export class Revocations {
  readonly #options: RevocationsOptions
  readonly #running = new Set<Promise<void>>()

  constructor(options: RevocationsOptions) {
    this.#options = options
  }

  begin(connection: SealedConnection): void {
    this.#runInBackground(connection, (signal) => this.#revoke(connection, signal))
  }

  /** Revokes the tokens of a connection that was removed before they could be stored. */
  beginWithTokens(connection: RevokedConnection, tokens: StoredTokens): void {
    this.#runInBackground(connection, (signal) => this.#revokeTokens(connection.provider, tokens, signal))
  }

  #runInBackground(connection: RevokedConnection, revoke: (signal: AbortSignal) => Promise<void>): void {
    const toError = (): Error => new Error('The provider did not revoke the tokens in time')
    const running: Promise<void> = withTimeout(this.#options.timeoutMs, null, toError, revoke)
      .catch((error: unknown) => {
        this.#options.onFailure(connection, error)
      })
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** Resolves when the revocations in flight have ended. Each has its timeout. */
  async settled(): Promise<void> {
    await Promise.all(this.#running)
  }

  async #revoke(connection: SealedConnection, signal: AbortSignal): Promise<void> {
    const { cipher, providers } = this.#options
    const { provider: providerId, sealedCredentials } = connection
    const { provider, client, network } = await providers.prepare(providerId)
    if (client === null && provider.connect.revoke === undefined) return
    const credentials = cipher.open(sealedCredentials, connection)
    if (client === null) await provider.connect.revoke?.(credentials, { ...network, signal })
    else await client.revoke(parseTokens(credentials), signal)
  }

  async #revokeTokens(providerId: string, tokens: StoredTokens, signal: AbortSignal): Promise<void> {
    const client = await this.#options.providers.getOAuthClient(providerId)
    await client.revoke(tokens, signal)
  }
}
