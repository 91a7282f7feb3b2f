import { randomBytes } from 'node:crypto'
import type { Connection } from '../core/connection.ts'
import { parseOpenableLink, requireLink } from '../core/provider-link.ts'
import type { LoginFlowConnect, ProviderDefinition } from '../core/provider.ts'
import { Secret } from '../core/secret.ts'
import type { CredentialCipher, PendingFlow } from '../core/stores.ts'
import type { Clock } from '../core/time.ts'
import type { OAuthStateStore } from '../db/oauth-state-store.ts'
import { StorageError } from '../errors.ts'
import type { Connections } from './connections.ts'
import { FLOW_LIFETIME_MS, FLOW_SECRET, flowBindingOf, hashOf, MAX_FLOWS_PER_USER } from './oauth-flow.ts'
import type { PreparedProvider } from './provider-catalog.ts'

export interface LoginFlowOptions {
  readonly flows: OAuthStateStore
  readonly cipher: CredentialCipher
  readonly clock: Clock
  readonly connections: Connections
}

export interface BeginLoginRequest {
  readonly userId: string
  readonly prepared: PreparedProvider
  /** The server, as the user entered it. */
  readonly baseUrl: string
  /** The user's name for the connection. Default: the provider's suggestion. */
  readonly label: string | undefined
  readonly signal: AbortSignal
}

export interface PollLoginRequest {
  readonly userId: string
  readonly prepared: PreparedProvider
  readonly flowId: string
  readonly signal: AbortSignal
}

/** The sealed state of a pending flow. */
interface LoginFlowState {
  readonly label?: string | undefined
  readonly pending?: unknown
  /** The provider returns these only once: they are stored until the connection has been made. */
  readonly fields?: Readonly<Record<string, unknown>>
}

/** Connects through a login at the service's own page. The service is polled until the login has happened. */
export class LoginFlow {
  readonly #options: LoginFlowOptions

  constructor(options: LoginFlowOptions) {
    this.#options = options
  }

  /** @throws StorageError `UNSUPPORTED` for a provider without a login flow, and the errors of its `begin` */
  async begin(request: BeginLoginRequest): Promise<{ loginUrl: string; flowId: string }> {
    const { userId, prepared, baseUrl, label, signal } = request
    const { flows, clock } = this.#options
    const { provider, network } = prepared
    const context = { ...network, signal }
    const { loginUrl: url, pending } = await requireLoginFlow(provider).begin(baseUrl, context)
    const loginUrl = requireLink(parseOpenableLink(url, context.egress))
    const flowId = randomBytes(32).toString('base64url')
    const flow = { stateHash: hashOf(flowId), userId, provider: provider.id }
    const sealedVerifier = this.#seal({ label, pending: pending.reveal() }, flow)
    const expiresAt = new Date(clock.date() + FLOW_LIFETIME_MS)
    await flows.save({ ...flow, sealedVerifier, bindingHash: '', returnTo: '', expiresAt }, MAX_FLOWS_PER_USER)
    return { loginUrl, flowId }
  }

  /**
   * Returns the connection once the user has logged in; `null` before.
   *
   * @throws StorageError `INVALID_STATE` for another user's flow, or one that has ended or expired
   */
  async poll(request: PollLoginRequest): Promise<Connection | null> {
    const { flows, cipher, connections } = this.#options
    const { userId, prepared, flowId, signal } = request
    const { provider } = prepared
    requireLoginFlow(provider)
    const stateHash = hashOf(flowId)
    const flow = FLOW_SECRET.test(flowId) ? await flows.find(stateHash, userId, provider.id) : null
    if (flow === null) throw new StorageError('INVALID_STATE', 'This login has ended or expired. Start again.')
    const state = cipher.open(flow.sealedVerifier, flowBindingOf('login-flow', flow)).reveal() as LoginFlowState
    const fields = await this.#pollFields(flow, state, request)
    if (fields === null || fields === undefined) return null
    const connection = await connections.connect({ userId, prepared, fields, label: state.label, signal })
    await flows.remove(stateHash)
    return connection
  }

  async #pollFields(
    flow: PendingFlow,
    state: LoginFlowState,
    { prepared: { provider, network }, signal }: PollLoginRequest
  ): Promise<LoginFlowState['fields'] | null> {
    if (state.fields !== undefined) return state.fields
    const pending = new Secret(state.pending)
    const fields = await requireLoginFlow(provider).poll(pending, { ...network, signal })
    if (fields !== null) await this.#options.flows.reseal(flow.stateHash, this.#seal({ ...state, fields }, flow))
    return fields
  }

  #seal(state: LoginFlowState, flow: Pick<PendingFlow, 'stateHash' | 'userId' | 'provider'>): string {
    return this.#options.cipher.seal(new Secret(state), flowBindingOf('login-flow', flow))
  }
}

function requireLoginFlow({ connect }: ProviderDefinition): LoginFlowConnect {
  if (connect.type === 'login-flow') return connect
  throw new StorageError('UNSUPPORTED', 'This provider has no login flow.')
}
