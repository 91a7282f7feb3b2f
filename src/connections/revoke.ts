import type { SealedConnection } from '../core/connection.ts'
import type { OAuthClient } from '../core/oauth.ts'
import type { CredentialCipher } from '../core/stores.ts'
import { type ConnectContext, isOAuthProvider, type ProviderDefinition } from '../core/provider.ts'
import { withTimeout } from '../core/time.ts'
import { parseTokens, type StoredTokens } from './tokens.ts'

export type RevokedConnection = Pick<SealedConnection, 'id' | 'provider'>

export interface RevokePorts {
  readonly cipher: CredentialCipher
  readonly loadProvider: (id: string) => Promise<ProviderDefinition>
  readonly clientOf: (providerId: string) => Promise<OAuthClient>
  readonly contextOf: (providerId: string) => Omit<ConnectContext, 'signal'>
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
  readonly #ports: RevokePorts
  readonly #running = new Set<Promise<void>>()

  constructor(ports: RevokePorts) {
    this.#ports = ports
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
    const running: Promise<void> = withTimeout(this.#ports.timeoutMs, null, toError, revoke)
      .catch((error: unknown) => {
        this.#ports.onFailure(connection, error)
      })
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** Resolves when the revocations in flight have ended. Each has its timeout. */
  async settled(): Promise<void> {
    await Promise.all(this.#running)
  }

  async #revoke(connection: SealedConnection, signal: AbortSignal): Promise<void> {
    const { cipher, loadProvider, contextOf } = this.#ports
    const { id, userId, provider: providerId, sealedCredentials } = connection
    const provider = await loadProvider(providerId)
    const isOAuth = isOAuthProvider(provider)
    if (!isOAuth && provider.connect.revoke === undefined) return
    const credentials = cipher.open(sealedCredentials, { userId, connectionId: id, provider: providerId })
    if (isOAuth) await this.#revokeTokens(providerId, parseTokens(credentials), signal)
    else await provider.connect.revoke?.(credentials, { ...contextOf(providerId), signal })
  }

  async #revokeTokens(providerId: string, tokens: StoredTokens, signal: AbortSignal): Promise<void> {
    const client = await this.#ports.clientOf(providerId)
    await client.revoke(tokens, signal)
  }
}
