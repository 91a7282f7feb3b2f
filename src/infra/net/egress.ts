import type { Agent } from 'undici'
import type { Egress, EgressAgents, HttpAnswer, HttpRequest } from '../../domain/egress.ts'
import type { Clock, Timeouts } from '../../domain/ports.ts'
import { systemClock } from '../clock.ts'
import { createDispatcher, MAX_CONNECTIONS } from './dispatcher.ts'
import { EgressRules } from './egress-rules.ts'
import { createGuardedAgents } from './guarded-agents.ts'
import { type Resolve, systemResolve } from './guarded-connection.ts'
import { HttpClient, type Pool } from './http-client.ts'

export interface EgressOptions {
  /** Additional hosts for users' connections: CIDRs, addresses and names, with or without a port. */
  readonly allowHosts: readonly string[]
  readonly timeouts: Timeouts
  /** Resolves names. Default: the system's resolver. */
  readonly resolve?: Resolve
  /** Default: the system's. */
  readonly clock?: Pick<Clock, 'now'>
  /** Maximal number of connections per origin, for calls and for bodies each. Default 1000. */
  readonly maxConnections?: number
}

/** An {@link Egress} that owns its sockets, which `close` destroys. */
export interface ClosableEgress extends Egress {
  close(): Promise<void>
}

/**
 * Creates the egress of one provider. It owns its sockets: a socket opened under other rules is never used for its
 * calls. Calls and bodies have separate pools: a body may be paused for minutes, and bodies that use up their pool
 * must not delay the listings of other users of the same server.
 *
 * @throws Error that names the invalid entry of `allowHosts`
 */
export function createEgress({
  allowHosts,
  timeouts,
  resolve = systemResolve,
  clock = systemClock,
  maxConnections = MAX_CONNECTIONS
}: EgressOptions): ClosableEgress {
  const rules = new EgressRules(allowHosts)
  const agents = createGuardedAgents(rules, resolve, maxConnections)
  const transferAgents = createGuardedAgents(rules, resolve, maxConnections)
  const dispatchers = new Map<Pool, Promise<Agent>>()
  const client = new HttpClient({
    rules,
    timeouts,
    dispatcher: (pool) => {
      const dispatcher = dispatchers.get(pool) ?? createDispatcher(rules, resolve, timeouts, maxConnections)
      dispatchers.set(pool, dispatcher)
      return dispatcher
    }
  })
  return {
    agents,
    clock,
    transferAgents,
    assertAllowed: (url: URL): void => {
      rules.assertAllowed(url)
    },
    request: (request: HttpRequest): Promise<HttpAnswer> => client.request(request),
    close: async () => {
      for (const { http, https } of [agents, transferAgents]) {
        http.destroy()
        https.destroy()
      }
      await Promise.all([...dispatchers.values()].map(async (dispatcher) => (await dispatcher).destroy()))
    }
  } satisfies ClosableEgress & { agents: EgressAgents }
}
