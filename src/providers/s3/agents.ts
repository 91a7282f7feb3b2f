import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { EgressAgents } from '../../domain/egress.ts'
import { AGENT_OPTIONS } from '../../infra/net/agent-options.ts'

/** The sockets of S3 clients: bodies have their own, so that calls never wait for one that a paused body holds. */
export interface S3Agents {
  readonly agents: EgressAgents
  readonly transferAgents: EgressAgents
}

let managed: S3Agents | undefined

/**
 * The sockets to the host's own stores, which no egress rule applies to. A user's call must never travel on one of
 * them: connections have sockets of their own.
 */
export function managedAgents(): S3Agents {
  return (managed ??= { agents: createAgents(), transferAgents: createAgents() })
}

function createAgents(): EgressAgents {
  return { http: new HttpAgent(AGENT_OPTIONS), https: new HttpsAgent(AGENT_OPTIONS) }
}
