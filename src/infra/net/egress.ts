import type { Agent } from 'undici'
import type { Egress, EgressAgents, HttpAnswer, HttpRequest } from '../../domain/egress.ts'
import type { Clock, Timeouts } from '../../domain/ports.ts'
import { systemClock } from '../clock.ts'
import { createDispatcher } from './dispatcher.ts'
import { EgressRules } from './egress-rules.ts'
import { createGuardedAgents } from './guarded-agents.ts'
import { type Resolve, systemResolve } from './guarded-connection.ts'
import { HttpClient } from './http-client.ts'

export interface EgressOptions {
  /** What the operator opens: CIDRs, addresses and names, with or without a port. */
  readonly allowHosts: readonly string[]
  readonly timeouts: Timeouts
  /** How names become addresses. Default: as the system does it. */
  readonly resolve?: Resolve
  /** Default: the machine's. */
  readonly clock?: Pick<Clock, 'now'>
}

/** An {@link Egress} with sockets of its own, which `close` ends. */
export interface ClosableEgress extends Egress {
  close(): Promise<void>
}

/**
 * The way out of one provider. Its sockets are its own: one that was opened under other rules never carries its calls.
 *
 * @throws Error that names the entry of `allowHosts` at fault
 */
export function createEgress({
  allowHosts,
  timeouts,
  resolve = systemResolve,
  clock = systemClock
}: EgressOptions): ClosableEgress {
  const rules = new EgressRules(allowHosts)
  const agents = createGuardedAgents(rules, resolve)
  let dispatcher: Promise<Agent> | undefined
  const client = new HttpClient({
    rules,
    timeouts,
    dispatcher: () => (dispatcher ??= createDispatcher(rules, resolve, timeouts))
  })
  return {
    agents,
    clock,
    assertAllowed: (url: URL): void => {
      rules.assertAllowed(url)
    },
    request: (request: HttpRequest): Promise<HttpAnswer> => client.request(request),
    close: async () => {
      agents.http.destroy()
      agents.https.destroy()
      await (await dispatcher)?.destroy()
    }
  } satisfies ClosableEgress & { agents: EgressAgents }
}
