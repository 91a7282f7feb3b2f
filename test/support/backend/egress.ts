import type { Timeouts } from '../../../src/core/stores.ts'
import { type ClosableEgress, createEgress, type EgressOptions } from '../../../src/net/egress.ts'
import { TEST_TIMEOUTS } from '../time/timeouts.ts'

export interface OpenEgress extends ClosableEgress {
  /** Requests recorded before the egress was connected. */
  readonly checkedUrls: string[]
}

/** The real egress, allowed to reach all of loopback. Its idle sockets do not keep the process alive. */
export function openEgress(
  options: Partial<Omit<EgressOptions, 'timeouts'>> & { timeouts?: Partial<Timeouts> } = {}
): OpenEgress {
  const egress = createEgress({
    allowHosts: ['127.0.0.0/8', '::1', 'localhost'],
    ...options,
    timeouts: { ...TEST_TIMEOUTS, ...options.timeouts }
  })
  const checkedUrls: string[] = []
  const { agents, transferAgents, clock } = egress
  return {
    agents,
    transferAgents,
    clock,
    checkedUrls,
    assertAllowed(url) {
      checkedUrls.push(url.href)
      egress.assertAllowed(url)
    },
    request: (request) => egress.request(request),
    openWebSocket: (request) => egress.openWebSocket(request),
    close: () => egress.close()
  }
}

/** Returns how many sockets to a port the agents hold for pending calls. */
export function busySockets(
  { agents, transferAgents }: Pick<ClosableEgress, 'agents' | 'transferAgents'>,
  port: string
): number {
  const all = [agents, transferAgents].flatMap(({ http }) => Object.entries(http.sockets))
  const toPort = all.filter(([name]) => name.includes(`:${port}:`))
  return toPort.flatMap(([, sockets]) => sockets ?? []).length
}
