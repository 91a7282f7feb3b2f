import { randomBytes } from 'node:crypto'
import { isStorageError, StorageError } from '../domain/errors.ts'
import type { AccessTokens, OAuthClient } from '../domain/oauth.ts'
import type { Clock, CredentialCipher, OAuthStateStore, PendingFlow } from '../domain/ports.ts'
import type { OAuthProvider } from '../domain/provider.ts'
import { parseProviderLink, requireLink } from '../domain/provider-link.ts'
import { Secret } from '../domain/secret.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import type { InFlightLimit } from '../domain/user-limits.ts'
import { fixedTokens } from './access-tokens.ts'
import { bindingOf, FLOW_MS, FLOW_SECRET, hashOf, isHashOf, MAX_FLOWS_PER_USER } from './flow-secrets.ts'
import type { StoreConnection } from './store-connection.ts'
import { serialiseTokens, storeTokens, type StoredTokens } from './stored-tokens.ts'

export interface OAuthFlowPorts {
  readonly flows: OAuthStateStore
  readonly cipher: CredentialCipher
  readonly clock: Clock
  readonly clientOf: (providerId: string) => Promise<OAuthClient>
  readonly openWithTokens: (provider: OAuthProvider, tokens: AccessTokens) => Promise<StorageBackend>
  readonly store: StoreConnection
  /** The connects of each user in flight. */
  readonly connects: InFlightLimit
  /** How long the provider may take for all that follows its answer. */
  readonly deadlineMs: number
}

export interface BeginOAuth {
  readonly userId: string
  readonly provider: OAuthProvider
  readonly redirectUri: string
  /** Where the browser goes in the end; checked to be the application's own. */
  readonly returnTo: string
  /** The user's name for the connection; left out: the account's. */
  readonly label: string | undefined
}

export interface BegunOAuth {
  readonly authorizationUrl: string
  /** For the browser alone, which has to show it again: it proves that it is the same one. */
  readonly nonce: BrowserNonce
}

export interface BrowserNonce {
  /** Tells the nonces of several flows in one browser apart. */
  readonly id: string
  readonly value: string
  readonly lifetimeMs: number
}

export interface OAuthCallback {
  readonly provider: OAuthProvider
  readonly redirectUri: string
  /** What stands behind the redirect URI, whatever it is. */
  readonly parameters: URLSearchParams
  /** What the browser shows of the flow with this id. */
  readonly nonceOf: (id: string) => string | undefined
  /** Who the browser is, where the application can tell. */
  readonly userId: string | null
}

export interface OAuthOutcome {
  readonly returnTo: string
  /** Why there is no connection; `null`: there is one. */
  readonly error: StorageError | null
}

export interface OAuthFlow {
  begin(request: BeginOAuth): Promise<BegunOAuth>
  /**
   * Ends a flow in the browser that began it, once.
   *
   * @throws StorageError `INVALID_STATE` for what is no answer to a flow of this browser and user: the provider is not
   * asked then. Every later failure is part of the outcome.
   */
  finish(callback: OAuthCallback): Promise<OAuthOutcome>
}

/** What is sealed while the user is at the provider. */
interface Waiting {
  readonly verifier: string
  readonly label?: string | undefined
}

/** Parameters of an answer that must not come twice: whoever reads the other one would see another answer. */
const SINGLE = ['state', 'code', 'iss', 'error'] as const
const NONCE_ID_LENGTH = 16

/** Connects by OAuth: the authorization code flow with PKCE, bound to the user and to the user's browser. */
export function createOAuthFlow(ports: OAuthFlowPorts): OAuthFlow {
  const { flows, cipher, clock, clientOf, openWithTokens, store, connects, deadlineMs } = ports

  async function prove({ provider, parameters, nonceOf, userId }: OAuthCallback): Promise<PendingFlow> {
    for (const name of SINGLE) if (parameters.getAll(name).length > 1) throw invalidState()
    const state = parameters.get('state') ?? ''
    if (!FLOW_SECRET.test(state)) throw invalidState()
    const stateHash = hashOf(state)
    const nonce = nonceOf(nonceIdOf(stateHash))
    const flow = await flows.findUnproven(stateHash, provider.id)
    if (flow === null || nonce === undefined || !isHashOf(nonce, flow.bindingHash)) throw invalidState()
    if (userId !== null && userId !== flow.userId) throw invalidState()
    return flow
  }

  async function connect(flow: PendingFlow, { provider, redirectUri, parameters }: OAuthCallback, signal: AbortSignal) {
    const { verifier, label } = cipher.open(flow.sealedVerifier, bindingOf('oauth-flow', flow)).reveal() as Waiting
    const client = await clientOf(provider.id)
    const state = parameters.get('state') ?? ''
    const askedAt = clock.date()
    const answer = { redirectUri, state, codeVerifier: new Secret(verifier), parameters }
    const set = await client.exchange(answer, signal)
    const tokens = storeTokens(set, askedAt)
    const scopes = granted(client.scopes, set.scopes, provider.connect.scopeName)
    requireLasting(tokens)
    const backend = await openWithTokens(provider, fixedTokens(tokens))
    const { id: accountId, name, email } = await backend.account({ signal })
    await store(
      { userId: flow.userId, provider: provider.id, accountId, label: label ?? email ?? name, scopes },
      serialiseTokens(tokens)
    )
  }

  /** Connects, and returns why that failed; `null` if it did not. */
  async function settle(flow: PendingFlow, callback: OAuthCallback): Promise<StorageError | null> {
    // The code is good for once, and this login is over: a browser that leaves now, or asks again, ends nothing.
    const controller = new AbortController()
    const timer = setTimeout(() => {
      controller.abort(new StorageError('PROVIDER_TIMEOUT', 'The provider did not answer in time.'))
    }, deadlineMs)
    try {
      await connect(flow, callback, controller.signal)
      return null
    } catch (error) {
      if (!isStorageError(error)) throw error
      return error
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    async begin({ userId, provider, redirectUri, returnTo, label }) {
      const state = newSecret()
      const verifier = newSecret()
      const nonce = newSecret()
      const flow = { stateHash: hashOf(state), userId, provider: provider.id }
      const client = await clientOf(provider.id)
      const codeVerifier = new Secret(verifier)
      const url = await client.authorizationUrl({ redirectUri, state, codeVerifier })
      // The endpoint is in the provider's definition: the operator has chosen it, http included.
      const authorizationUrl = requireLink(parseProviderLink(url))
      await flows.save(
        {
          ...flow,
          bindingHash: hashOf(nonce),
          sealedVerifier: cipher.seal(new Secret({ verifier, label }), bindingOf('oauth-flow', flow)),
          returnTo,
          expiresAt: new Date(clock.date() + FLOW_MS)
        },
        MAX_FLOWS_PER_USER
      )
      return { authorizationUrl, nonce: { id: nonceIdOf(flow.stateHash), value: nonce, lifetimeMs: FLOW_MS } }
    },

    async finish(callback) {
      const flow = await prove(callback)
      // Before the flow is spent: a callback that is refused here can be loaded again.
      const release = connects.enter(flow.userId).hold()
      try {
        // Of several who bring the same answer one is the first.
        if (!(await flows.remove(flow.stateHash))) throw invalidState()
        return { returnTo: flow.returnTo, error: await settle(flow, callback) }
      } finally {
        release()
      }
    }
  }
}

/** RFC 7636 asks for 43 characters and more of these. */
function newSecret(): string {
  return randomBytes(32).toString('base64url')
}

function nonceIdOf(stateHash: string): string {
  return stateHash.slice(0, NONCE_ID_LENGTH)
}

function invalidState(): StorageError {
  return new StorageError('INVALID_STATE', 'This login has ended, or was begun in another browser: begin again.')
}

/**
 * Scopes of OpenID Connect, which decide about what comes beside the access token. Providers give them other names in
 * their answers, or leave them out.
 */
const BESIDE: ReadonlySet<string> = new Set(['openid', 'profile', 'email', 'offline_access'])

/** @throws StorageError `INSUFFICIENT_SCOPE` where the user granted less than was asked for */
function granted(
  asked: readonly string[],
  given: readonly string[] | null,
  nameOf = (scope: string): string => scope
): readonly string[] {
  if (given === null) return asked
  const names = new Set(given.map(nameOf))
  const missing = asked.filter((scope) => !BESIDE.has(scope) && !names.has(nameOf(scope)))
  if (missing.length === 0) return given
  throw new StorageError('INSUFFICIENT_SCOPE', 'Not all of the access was granted that is needed.')
}

/** A connection is for months: one that would end with its first token is none. */
function requireLasting({ refreshToken, expiresAt }: StoredTokens): void {
  if (refreshToken !== null || expiresAt === null) return
  throw new StorageError('PROVIDER_ERROR', 'The provider gave access for a short time only.')
}
