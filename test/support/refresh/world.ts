import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import type { Test } from 'tap'
import { TokenRefresher } from '../../../src/connections/refresh.ts'
import {
  ConnectionTokens,
  parseTokens,
  RefreshCoordinator,
  serialiseTokens,
  type StoredTokens
} from '../../../src/connections/tokens.ts'
import type { SealedConnection } from '../../../src/core/connection.ts'
import { isStorageError, StorageError, type StorageErrorCode } from '../../../src/errors.ts'
import type { OAuthClient, TokenSet } from '../../../src/core/oauth.ts'
import type { CredentialCipher } from '../../../src/core/stores.ts'
import { Secret } from '../../../src/core/secret.ts'
import { createCredentialCipher } from '../../../src/crypto/credentials.ts'
import { createKeyRing } from '../../../src/crypto/key-ring.ts'
import { NO_TRACING } from '../../../src/telemetry/tracing.ts'
import { ManualClock } from '../time/clock.ts'
import { MemoryConnections } from '../database/memory-connections.ts'

export const HOUR_MS = 3_600_000
export const neverAborted = new AbortController().signal

type RefreshHandler = (refreshToken: string, signal: AbortSignal) => TokenSet | null | Promise<TokenSet | null>

/** A scripted token endpoint that records the refresh tokens it receives. */
export class ScriptedTokenEndpoint implements Pick<OAuthClient, 'refresh'> {
  readonly receivedTokens: string[] = []
  /** Rotates tokens by default. */
  respond: RefreshHandler = () => this.rotated()

  async refresh(refreshToken: Secret<string>, signal: AbortSignal): Promise<TokenSet | null> {
    this.receivedTokens.push(refreshToken.reveal())
    return await this.respond(refreshToken.reveal(), signal)
  }

  /** The tokens for the current call: `SECRET-access-1` for the first. */
  rotated(over: Partial<TokenSet> = {}): TokenSet {
    const n = String(this.receivedTokens.length)
    return {
      accessToken: new Secret(`SECRET-access-${n}`),
      refreshToken: new Secret(`SECRET-refresh-${n}`),
      lifetimeMs: HOUR_MS,
      scopes: null,
      ...over
    }
  }
}

interface PlainTokens {
  readonly accessToken: string
  readonly refreshToken: string | null
  /** The age of the tokens and their remaining lifetime. */
  readonly ageMs: number
  readonly leftMs: number | null
}

const [k1, k2] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]

/** Token refresh in one process, on a table that other processes may share. */
export class RefreshWorld {
  readonly clock: ManualClock
  readonly connections: MemoryConnections
  readonly endpoint: ScriptedTokenEndpoint
  /** Connections reported as having lost their grant. */
  readonly endedConnections: string[] = []
  /** Refresh tokens received for a row that no longer existed. */
  readonly orphanedTokens: (string | undefined)[] = []
  /** Refresh results reported to metrics. */
  readonly refreshes: string[] = []
  readonly refresher: TokenRefresher
  readonly flights: RefreshCoordinator
  readonly cipher: CredentialCipher

  constructor(peer?: RefreshWorld) {
    this.clock = peer?.clock ?? new ManualClock()
    this.connections = peer?.connections ?? new MemoryConnections()
    this.endpoint = peer?.endpoint ?? new ScriptedTokenEndpoint()
    this.cipher = createCredentialCipher(createKeyRing({ current: 'k1', keys: { k1, k2 } }))
    this.refresher = new TokenRefresher({
      connections: this.connections,
      cipher: this.cipher,
      clock: this.clock,
      clientOf: async () => this.endpoint as unknown as OAuthClient,
      onGrantEnded: ({ id }) => this.endedConnections.push(id),
      onOrphaned: (_connection, { refreshToken }) => this.orphanedTokens.push(refreshToken?.reveal()),
      timeoutMs: 10_000,
      metrics: { tokenRefreshed: (provider, outcome) => this.refreshes.push(`${provider} ${outcome}`) },
      tracing: NO_TRACING
    })
    this.flights = new RefreshCoordinator(this.refresher, this.clock)
  }

  tokens({ accessToken = 'SECRET-access-0', refreshToken, ageMs = 0, leftMs = HOUR_MS }: Partial<PlainTokens> = {}) {
    const now = this.clock.date()
    const plainRefreshToken = refreshToken === undefined ? 'SECRET-refresh-0' : refreshToken
    return {
      accessToken: new Secret(accessToken),
      refreshToken: plainRefreshToken === null ? null : new Secret(plainRefreshToken),
      obtainedAt: now - ageMs,
      expiresAt: leftMs === null ? null : now + leftMs
    } satisfies StoredTokens
  }

  /** Adds a row with these tokens. */
  add(tokens: Partial<PlainTokens> = {}): SealedConnection {
    const row = this.connections.add()
    return this.put(row, this.cipher.seal(serialiseTokens(this.tokens(tokens)), row))
  }

  /** Writes the row like another process: its version is incremented. */
  replace(row: SealedConnection, tokens: Partial<PlainTokens>): SealedConnection {
    return this.put(row, this.cipher.seal(serialiseTokens(this.tokens(tokens)), row))
  }

  /** Re-encrypts the same tokens under another key. */
  rotateKey(row: SealedConnection): SealedConnection {
    const rotated = createCredentialCipher(createKeyRing({ current: 'k2', keys: { k1, k2 } }))
    const { sealedCredentials } = this.row(row)
    return this.put(row, rotated.seal(this.cipher.open(sealedCredentials, row), row))
  }

  put(row: SealedConnection, sealedCredentials: string): SealedConnection {
    const { version, credentialsRevision } = this.row(row)
    this.connections.change(row.id, { sealedCredentials, version, credentialsRevision: credentialsRevision + 1 })
    return this.row(row)
  }

  row({ id }: SealedConnection): SealedConnection {
    return this.connections.rows.get(id)!
  }

  stored(row: SealedConnection): { accessToken: string; refreshToken: string | undefined; expiresAt: number | null } {
    const { accessToken, refreshToken, expiresAt } = this.open(row)
    return { accessToken: accessToken.reveal(), refreshToken: refreshToken?.reveal(), expiresAt }
  }

  open(row: SealedConnection): StoredTokens {
    return parseTokens(this.cipher.open(this.row(row).sealedCredentials, row))
  }

  /** Returns the tokens as the plugin holds them for an open connection. */
  tokensOf(row: SealedConnection, random = 0): ConnectionTokens {
    const { flights, clock } = this
    return new ConnectionTokens(row, this.open(row), { refreshes: flights, clock, random: () => random })
  }

  /** Makes the next call of `method` fail in the database, without any effect. */
  failOnce(method: 'reseal' | 'withRefreshLock'): void {
    const { connections } = this
    Object.defineProperty(connections, method, {
      configurable: true,
      value: async () => {
        Reflect.deleteProperty(connections, method)
        throw new StorageError('DATABASE_UNAVAILABLE', 'The database is unavailable.')
      }
    })
  }

  /** Runs the work of the next lock, then fails the commit. */
  failCommitOnce(): void {
    const { connections } = this
    const withLock = connections.withRefreshLock.bind(connections)
    const failing: typeof withLock = async (row, withinMs, work) => {
      Reflect.deleteProperty(connections, 'withRefreshLock')
      const before = connections.rows.get(row.id)
      await withLock(row, withinMs, work)
      if (before !== undefined) connections.rows.set(row.id, before)
      throw new StorageError('DATABASE_UNAVAILABLE', 'The database is unavailable.')
    }
    Object.defineProperty(connections, 'withRefreshLock', { configurable: true, value: failing })
  }
}

/** Returns the error code of `call`. An error that contains a token fails the test. */
export async function errorCodeOf(t: Test, call: Promise<unknown>): Promise<StorageErrorCode | 'none'> {
  try {
    await call
    return 'none'
  } catch (error) {
    t.notMatch(inspect(error, { depth: 20, showHidden: true }), /SECRET/)
    if (isStorageError(error)) return error.code
    throw error
  }
}
