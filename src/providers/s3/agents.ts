import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { EgressAgents } from '../../domain/egress.ts'
import { AGENT_OPTIONS } from '../../infra/net/agent-options.ts'

/** The agents of S3 clients. Bodies use separate sockets, so that calls never wait for a paused body's socket. */
export interface S3Agents {
  readonly agents: EgressAgents
  readonly transferAgents: EgressAgents
}

let managed: S3Agents | undefined

/**
 * Returns the agents for the host's own stores, to which no egress rule applies. A user's request must never use one
 * of their sockets; connections have agents of their own.
 */
export function managedAgents(): S3Agents {
  return (managed ??= { agents: createAgents(), transferAgents: createAgents() })
}

function createAgents(): EgressAgents {
  return { http: new HttpAgent(AGENT_OPTIONS), https: new HttpsAgent(AGENT_OPTIONS) }
}
