import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { EgressAgents } from '../../domain/egress.ts'
import { AGENT_OPTIONS } from '../../infra/net/agent-options.ts'

let agents: EgressAgents | undefined

/**
 * The sockets to the host's own stores, which no egress rule applies to. A user's call must never travel on one of
 * them: connections have sockets of their own.
 */
export function managedAgents(): EgressAgents {
  return (agents ??= { http: new HttpAgent(AGENT_OPTIONS), https: new HttpsAgent(AGENT_OPTIONS) })
}
