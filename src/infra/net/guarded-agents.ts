import { Agent as HttpAgent, type ClientRequestArgs } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import type { EgressAgents } from '../../domain/egress.ts'
import { AGENT_OPTIONS } from './agent-options.ts'
import type { EgressRules, Target } from './egress-rules.ts'
import { guardedLookup, type Resolve, watchConnected } from './guarded-connection.ts'

/** What Node's agents are asked for: a socket at once, or an error by the callback. Its types know neither. */
type CreateConnection = (asked: ClientRequestArgs, done: (error: unknown) => void) => Socket | undefined

/** Sockets for SDKs that take Node's agents, under `rules`. Each request is checked when its socket is connected. */
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
        // Not by a socket with an error: the request only listens to a socket a tick after it has got it.
        done(refusal)
        forget(agent, asked)
        return undefined
      }
      // What the caller brings to connect by, a `lookup` or a socket of the system, gets nobody past the rules.
      const lookup = guardedLookup(rules, target, resolve)
      const socket = connect({ ...asked, lookup, socketPath: undefined, path: null }, done)
      if (socket !== undefined) watchConnected(rules, target, socket)
      return socket
    }
    agent.createConnection = open
  }
}

/** The agent has a list of sockets for each host by now, and would keep the empty lists of all that was refused. */
function forget(agent: HttpAgent, asked: ClientRequestArgs): void {
  const sockets = agent.sockets as Record<string, Socket[] | undefined>
  // Its types want more of `asked` than it reads.
  const name = agent.getName(asked)
  if (sockets[name]?.length === 0) Reflect.deleteProperty(sockets, name)
}

function targetOf({ host, hostname, port, defaultPort }: ClientRequestArgs, protocol: string): Target {
  const name = host ?? hostname ?? ''
  return { protocol, host: name.toLowerCase().replace(/^\[|\]$|\.$/g, ''), port: Number(port ?? defaultPort) }
}
