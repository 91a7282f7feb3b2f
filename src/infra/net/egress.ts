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
  /** What the operator opens: CIDRs, addresses and names, with or without a port. */
  readonly allowHosts: readonly string[]
  readonly timeouts: Timeouts
  /** How names become addresses. Default: as the system does it. */
  readonly resolve?: Resolve
  /** Default: the machine's. */
  readonly clock?: Pick<Clock, 'now'>
  /** The most connections per origin, of calls and of bodies each. Default 1000. */
  readonly maxConnections?: number
}

/** An {@link Egress} with sockets of its own, which `close` ends. */
export interface ClosableEgress extends Egress {
  close(): Promise<void>
}

/**
 * The egress of one provider. Its sockets are its own: one that was opened under other rules never carries its calls.
 * Calls and bodies have separate pools: a body may rest for minutes, and bodies that take up their pool must not delay
 * the listings of other users of the same server.
 *
 * @throws Error that names the entry of `allowHosts` at fault
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
