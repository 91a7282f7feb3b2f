import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { parseProviderLink, requireLink } from '../core/provider-link.ts'
import { Secret } from '../core/secret.ts'
import type { CredentialBinding, CredentialCipher, NewConnection, PendingFlow } from '../core/stores.ts'
import { type Clock, withTimeout } from '../core/time.ts'
import type { InFlightLimit } from '../core/user-limits.ts'
import type { OAuthStateStore } from '../db/oauth-state-store.ts'
import { isStorageError, StorageError } from '../errors.ts'
import type { Connections } from './connections.ts'
import type { ConnectionOpener } from './open.ts'
import type { PreparedOAuthProvider } from './provider-catalog.ts'
import { serialiseTokens, type StoredTokens, toStoredTokens } from './tokens.ts'

export interface OAuthFlowOptions {
  readonly flows: OAuthStateStore
  readonly cipher: CredentialCipher
  readonly clock: Clock
  readonly opener: ConnectionOpener
  readonly connections: Connections
  /** Limits the concurrent connects of each user. */
  readonly connectLimit: InFlightLimit
  /** Timeout of all provider calls after the callback. */
  readonly timeoutMs: number
}

export interface BeginOAuthRequest {
  readonly userId: string
  readonly prepared: PreparedOAuthProvider
  readonly redirectUri: string
  /** Final destination of the browser; verified to belong to the application. */
  readonly returnTo: string
  /** The user's name for the connection. Default: the account's. */
  readonly label: string | undefined
}

export interface StartedOAuth {
  readonly authorizationUrl: string
  /** Stored in the browser only. The callback must present it, to prove that the browser is the same. */
  readonly nonce: BrowserNonce
}

export interface BrowserNonce {
  /** Distinguishes the nonces of parallel flows in one browser. */
  readonly id: string
  readonly value: string
  readonly lifetimeMs: number
}

export interface OAuthCallback {
  readonly prepared: PreparedOAuthProvider
  readonly redirectUri: string
  /** The query parameters of the callback, unverified. */
  readonly parameters: URLSearchParams
  /** The nonces that the browser has stored, by the ids of their flows. */
  readonly nonces: ReadonlyMap<string, string>
  /** The user of the browser, if the application can tell. */
  readonly userId: string | null
}

export interface OAuthOutcome {
  /** The browser's nonce that is used up. */
  readonly nonceId: string
  readonly returnTo: string
  /** The failure; `null` if the connection was made. */
  readonly error: StorageError | null
}

/** The sealed state of a pending flow. */
interface OAuthFlowState {
  readonly verifier: string
  readonly label?: string | undefined
}

/** Parameters that must not be repeated: parsers differ in which of the values they return. */
const SINGLE_VALUE_PARAMETERS = ['state', 'code', 'iss', 'error'] as const
const NONCE_ID_LENGTH = 16

/** Connects by OAuth: the authorization code flow with PKCE, bound to the user and to the user's browser. */
export class OAuthFlow {
  readonly #options: OAuthFlowOptions

  constructor(options: OAuthFlowOptions) {
    this.#options = options
  }

  async begin({ userId, prepared, redirectUri, returnTo, label }: BeginOAuthRequest): Promise<StartedOAuth> {
    const { flows, cipher, clock } = this.#options
    const { provider, client } = prepared
    const state = generateSecret()
    const verifier = generateSecret()
    const nonce = generateSecret()
    const flow = { stateHash: hashOf(state), userId, provider: provider.id }
    const codeVerifier = new Secret(verifier)
    const url = await client.authorizationUrl({ redirectUri, state, codeVerifier })
    // The endpoint is part of the provider's definition, which the operator trusts: http is accepted.
    const authorizationUrl = requireLink(parseProviderLink(url))
    await flows.save(
      {
        ...flow,
        bindingHash: hashOf(nonce),
        sealedVerifier: cipher.seal(new Secret({ verifier, label }), flowBindingOf('oauth-flow', flow)),
        returnTo,
        expiresAt: new Date(clock.date() + FLOW_LIFETIME_MS)
      },
      MAX_FLOWS_PER_USER
    )
    return { authorizationUrl, nonce: { id: nonceIdOf(flow.stateHash), value: nonce, lifetimeMs: FLOW_LIFETIME_MS } }
  }

  /**
   * Finishes a flow in the browser that began it, once.
   *
   * @throws StorageError `INVALID_STATE` if the callback does not belong to a flow of this browser and user; the
   * provider is not called then. Every later failure is part of the outcome.
   */
  async finish(callback: OAuthCallback): Promise<OAuthOutcome> {
    const { flows, connectLimit } = this.#options
    const flow = await this.#verifyCallback(callback)
    // Before the flow is removed: a callback that is rejected here can be repeated.
    const release = connectLimit.acquire(flow.userId).hold()
    try {
      // Of several identical callbacks only one removes the flow.
      if (!(await flows.remove(flow.stateHash))) throw new StorageError('INVALID_STATE')
      const error = await this.#tryConnect(flow, callback)
      return { nonceId: nonceIdOf(flow.stateHash), returnTo: flow.returnTo, error }
    } finally {
      release()
    }
  }

  async #verifyCallback({ prepared, parameters, nonces, userId }: OAuthCallback): Promise<PendingFlow> {
    const state = parameters.get('state') ?? ''
    const isRepeated = SINGLE_VALUE_PARAMETERS.some((name) => parameters.getAll(name).length > 1)
    if (isRepeated || !FLOW_SECRET.test(state)) throw new StorageError('INVALID_STATE')
    const stateHash = hashOf(state)
    const nonce = nonces.get(nonceIdOf(stateHash))
    const flow = await this.#options.flows.findForAnyUser(stateHash, prepared.provider.id)
    const isSameBrowser = flow !== null && nonce !== undefined && matchesHash(nonce, flow.bindingHash)
    if (!isSameBrowser || (userId !== null && userId !== flow.userId)) throw new StorageError('INVALID_STATE')
    return flow
  }

  /** Connects. Returns the failure, or `null`. */
  async #tryConnect(flow: PendingFlow, callback: OAuthCallback): Promise<StorageError | null> {
    // Not the request's signal: the code works only once, so a browser that disconnects must not abort the exchange.
    const toError = (): StorageError => new StorageError('PROVIDER_TIMEOUT')
    const { timeoutMs, connections } = this.#options
    try {
      const { connection, credentials } = await withTimeout(timeoutMs, null, toError, (signal) =>
        this.#authorize(flow, callback, signal)
      )
      // After the timeout: a connection that is stored must not be reported as failed.
      await connections.store(connection, credentials)
      return null
    } catch (error) {
      if (!isStorageError(error)) throw error
      return error
    }
  }

  async #authorize(
    flow: PendingFlow,
    { prepared, redirectUri, parameters }: OAuthCallback,
    signal: AbortSignal
  ): Promise<{ connection: NewConnection; credentials: Secret<unknown> }> {
    const { cipher, clock, opener } = this.#options
    const { provider, client } = prepared
    const { verifier, label } = cipher
      .open(flow.sealedVerifier, flowBindingOf('oauth-flow', flow))
      .reveal() as OAuthFlowState
    const state = parameters.get('state') ?? ''
    const requestedAt = clock.date()
    const authorizationResponse = { redirectUri, state, codeVerifier: new Secret(verifier), parameters }
    const tokenSet = await client.exchange(authorizationResponse, signal)
    const tokens = toStoredTokens(tokenSet, requestedAt)
    const scopes = requireGrantedScopes(client.scopes, tokenSet.scopes, provider.connect.scopeName)
    requireRefreshable(tokens)
    const backend = await opener.openAuthorized(prepared, tokens.accessToken)
    const { id: accountId, name, email } = await backend.account({ signal })
    return {
      connection: { userId: flow.userId, provider: provider.id, accountId, label: label ?? email ?? name, scopes },
      credentials: serialiseTokens(tokens)
    }
  }
}

/** Returns 43 characters, the minimum of RFC 7636. */
function generateSecret(): string {
  return randomBytes(32).toString('base64url')
}

function nonceIdOf(stateHash: string): string {
  return stateHash.slice(0, NONCE_ID_LENGTH)
}

/**
 * Scopes of OpenID Connect, which do not limit the access token. Providers rename them in their responses, or omit
 * them.
 */
const OPENID_SCOPES: ReadonlySet<string> = new Set(['openid', 'profile', 'email', 'offline_access'])

/** @throws StorageError `INSUFFICIENT_SCOPE` if the user granted less than requested */
function requireGrantedScopes(
  requested: readonly string[],
  granted: readonly string[] | null,
  nameOf = (scope: string): string => scope
): readonly string[] {
  if (granted === null) return requested
  const names = new Set(granted.map(nameOf))
  const missing = requested.filter((scope) => !OPENID_SCOPES.has(scope) && !names.has(nameOf(scope)))
  if (missing.length === 0) return granted
  throw new StorageError(
    'INSUFFICIENT_SCOPE',
    'Some required permissions were not granted. Connect again and grant all of them.'
  )
}

/** Rejects a token that expires and cannot be refreshed: connections last for months. */
function requireRefreshable({ refreshToken, expiresAt }: StoredTokens): void {
  if (refreshToken !== null || expiresAt === null) return
  throw new StorageError('PROVIDER_ERROR', 'The provider issued an expiring access token without a refresh token.')
}

/** Time for the user at the provider's own pages, in milliseconds. */
export const FLOW_LIFETIME_MS = 600_000
/** Pending flows per user; the oldest one is dropped first. */
export const MAX_FLOWS_PER_USER = 5

/** 32 random bytes in base64url: the secret that identifies a flow, or proves that the browser is the same. */
export const FLOW_SECRET = /^[\w-]{43}$/

/** Returns the hash that is stored: read access to the table does not suffice to continue the flow. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** Returns true if the hash belongs to the secret. The comparison takes constant time. */
export function matchesHash(secret: string, hash: string): boolean {
  const expected = Buffer.from(hash)
  const actual = Buffer.from(hashOf(secret))
  return actual.byteLength === expected.byteLength && timingSafeEqual(actual, expected)
}

/** Returns the binding of a flow's secrets. No connection has an id of this form. */
export function flowBindingOf(
  kind: 'login-flow' | 'oauth-flow',
  { stateHash, userId, provider }: Pick<PendingFlow, 'stateHash' | 'userId' | 'provider'>
): CredentialBinding {
  return { userId, provider, id: `${kind}:${stateHash}` }
}
