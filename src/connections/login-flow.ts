import { randomBytes } from 'node:crypto'
import type { Connection } from '../core/connection.ts'
import { StorageError } from '../errors.ts'
import type { Clock } from '../core/time.ts'
import type { CredentialCipher, OAuthStateStore, PendingFlow } from '../core/stores.ts'
import type { ConnectContext, LoginFlowConnect, ProviderDefinition } from '../core/provider.ts'
import { parseOpenableLink, requireLink } from '../core/provider-link.ts'
import { Secret } from '../core/secret.ts'
import type { Connect } from './connections.ts'
import { bindingOf, FLOW_LIFETIME_MS, FLOW_SECRET, hashOf, MAX_FLOWS_PER_USER } from './oauth-flow.ts'

export interface LoginFlowPorts {
  readonly flows: OAuthStateStore
  readonly cipher: CredentialCipher
  readonly clock: Clock
  readonly connect: Connect
  readonly contextOf: (providerId: string) => Omit<ConnectContext, 'signal'>
}

export interface BeginLoginRequest {
  readonly userId: string
  readonly provider: ProviderDefinition
  /** The server, as the user entered it. */
  readonly baseUrl: string
  /** The user's name for the connection. Default: the provider's suggestion. */
  readonly label: string | undefined
  readonly signal: AbortSignal
}

export interface PollLoginRequest {
  readonly userId: string
  readonly provider: ProviderDefinition
  readonly flowId: string
  readonly signal: AbortSignal
}

export interface LoginFlow {
  /** @throws StorageError `UNSUPPORTED` for a provider without a login flow, and the errors of its `begin` */
  begin(request: BeginLoginRequest): Promise<{ loginUrl: string; flowId: string }>
  /**
   * Returns the connection once the user has logged in; `null` before.
   *
   * @throws StorageError `INVALID_STATE` for another user's flow, or one that has ended or expired
   */
  poll(request: PollLoginRequest): Promise<Connection | null>
}

/** The sealed state of a pending flow. */
interface LoginFlowState {
  readonly label?: string | undefined
  readonly pending?: unknown
  /** The provider returns these only once: they are stored until the connection has been made. */
  readonly fields?: Readonly<Record<string, unknown>>
}

/** Connects through a login at the service's own page. The service is polled until the login has happened. */
export function createLoginFlow(ports: LoginFlowPorts): LoginFlow {
  const { flows, cipher, clock, connect, contextOf } = ports

  const seal = (state: LoginFlowState, flow: Pick<PendingFlow, 'stateHash' | 'userId' | 'provider'>): string =>
    cipher.seal(new Secret(state), bindingOf('login-flow', flow))

  async function pollFields(
    flow: PendingFlow,
    state: LoginFlowState,
    request: PollLoginRequest
  ): Promise<LoginFlowState['fields'] | null> {
    if (state.fields !== undefined) return state.fields
    const { provider, signal } = request
    const context = { ...contextOf(provider.id), signal }
    const fields = await requireLoginFlow(provider).poll(new Secret(state.pending), context)
    if (fields !== null) await flows.reseal(flow.stateHash, seal({ ...state, fields }, flow))
    return fields
  }

  return {
    async begin({ userId, provider, baseUrl, label, signal }) {
      const context = { ...contextOf(provider.id), signal }
      const { loginUrl: url, pending } = await requireLoginFlow(provider).begin(baseUrl, context)
      const loginUrl = requireLink(parseOpenableLink(url, context.egress))
      const flowId = randomBytes(32).toString('base64url')
      const flow = { stateHash: hashOf(flowId), userId, provider: provider.id }
      const sealedVerifier = seal({ label, pending: pending.reveal() }, flow)
      const expiresAt = new Date(clock.date() + FLOW_LIFETIME_MS)
      await flows.save({ ...flow, sealedVerifier, bindingHash: '', returnTo: '', expiresAt }, MAX_FLOWS_PER_USER)
      return { loginUrl, flowId }
    },

    async poll(request) {
      const { userId, provider, flowId, signal } = request
      requireLoginFlow(provider)
      const stateHash = hashOf(flowId)
      const flow = FLOW_SECRET.test(flowId) ? await flows.find(stateHash, userId, provider.id) : null
      if (flow === null) throw new StorageError('INVALID_STATE', 'This login has ended or expired. Start again.')
      const state = cipher.open(flow.sealedVerifier, bindingOf('login-flow', flow)).reveal() as LoginFlowState
      const fields = await pollFields(flow, state, request)
      if (fields === null || fields === undefined) return null
      const connection = await connect({ userId, provider, fields, label: state.label, signal })
      await flows.remove(stateHash)
      return connection
    }
  }
}

function requireLoginFlow({ connect }: ProviderDefinition): LoginFlowConnect {
  if (connect.type === 'login-flow') return connect
  throw new StorageError('UNSUPPORTED', 'This provider has no login flow.')
}
