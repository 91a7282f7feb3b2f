import { Agent as HttpAgent, type ClientRequestArgs } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import type { EgressAgents } from '../../domain/egress.ts'
import { AGENT_OPTIONS } from './agent-options.ts'
import type { EgressRules, Target } from './egress-rules.ts'
import { guardedLookup, type Resolve, watchConnected } from './guarded-connection.ts'

/** The contract of Node's agents: return a socket, or pass an error to the callback. The types declare neither. */
type CreateConnection = (asked: ClientRequestArgs, done: (error: unknown) => void) => Socket | undefined

/** Creates agents for SDKs under `rules`. Each request is checked when its socket is connected. */
export function createGuardedAgents(
  rules: EgressRules,
  resolve: Resolve,
  maxSockets = AGENT_OPTIONS.maxSockets
): EgressAgents {
  const http = new HttpAgent({ ...AGENT_OPTIONS, maxSockets })
  const https = new HttpsAgent({ ...AGENT_OPTIONS, maxSockets })
  guard(http, 'http:')
  guard(https, 'https:')
  return { http, https }

  function guard(agent: HttpAgent, protocol: string): void {
    const connect = agent.createConnection.bind(agent) as CreateConnection
    const open: CreateConnection = (asked, done) => {
      const target = targetOf(asked, protocol)
      try {
        rules.assertTarget(target)
      } catch (refusal) {
        // Not by a socket with an error: a request listens to its socket only one tick after it received it.
        done(refusal)
        forget(agent, asked)
        return undefined
      }
      // The caller's own `lookup` or socket path must not bypass the rules.
      const lookup = guardedLookup(rules, target, resolve)
      const socket = connect({ ...asked, lookup, socketPath: undefined, path: null }, done)
      if (socket !== undefined) watchConnected(rules, target, socket)
      return socket
    }
    agent.createConnection = open
  }
}

/** Removes the empty socket list that the agent has created for a refused host: these lists would accumulate. */
function forget(agent: HttpAgent, asked: ClientRequestArgs): void {
  const sockets = agent.sockets as Record<string, Socket[] | undefined>
  // The types require more fields of `asked` than are read.
  const name = agent.getName(asked)
  if (sockets[name]?.length === 0) Reflect.deleteProperty(sockets, name)
}

function targetOf({ host, hostname, port, defaultPort }: ClientRequestArgs, protocol: string): Target {
  const name = host ?? hostname ?? ''
  return { protocol, host: name.toLowerCase().replace(/^\[|\]$|\.$/g, ''), port: Number(port ?? defaultPort) }
}
