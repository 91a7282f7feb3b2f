import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns'
import { type AgentOptions, type ClientRequestArgs, Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { type LookupFunction, Socket } from 'node:net'
import type { Agent, buildConnector, Pool } from 'undici'
import type { EgressAgents } from '../core/egress.ts'
import { type EgressRules, type Target, targetOf } from './egress-rules.ts'

/** Equals `dns.lookup` with `all: true`: returns every address of a name. */
export type Resolver = (
  name: string,
  options: LookupOptions & { all: true },
  callback: (error: Error | null, addresses?: readonly LookupAddress[]) => void
) => void

/** The system's resolver, which includes `/etc/hosts`. */
export const systemResolver: Resolver = systemLookup

/**
 * Returns a `lookup` for one connection to `target`. The addresses that it checks are the ones that are connected, so
 * a name cannot resolve to one address for the check and to another for the connection.
 */
export function guardedLookup(rules: EgressRules, target: Target, resolve: Resolver): LookupFunction {
  return (name, options, callback) => {
    resolve(name, { ...options, all: true }, (error, addresses = []) => {
      const [first] = addresses
      if (error !== null || first === undefined) {
        callback(error ?? errorWithCode('ENOTFOUND', 'The host name has no address'), [])
        return
      }
      try {
        rules.assertAddresses(
          target,
          addresses.map(({ address }) => address)
        )
      } catch (denial) {
        callback(denial as Error, [])
        return
      }
      if (options.all === true) callback(null, [...addresses])
      else callback(null, first.address, first.family)
    })
  }
}

/**
 * Checks the address that is actually connected, as a second barrier: an address in a URL passes no `lookup`, and
 * some addresses (`0.0.0.0`) lead to others. Destroys the socket before a byte is written to it, and before TLS
 * begins.
 */
export function checkOnConnect(rules: EgressRules, target: Target, socket: Socket): void {
  socket.prependOnceListener('connect', () => {
    const { remoteAddress } = socket
    try {
      // A connection that the peer has already reset has no address. It must not be reported as forbidden.
      if (remoteAddress === undefined) throw errorWithCode('ECONNRESET', 'The connection was closed immediately')
      rules.assertAddresses(target, [remoteAddress])
    } catch (denial) {
      socket.destroy(denial as Error)
    }
  })
}

function errorWithCode(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

/** The contract of Node's agents: return a socket, or pass an error to the callback. The types declare neither. */
type CreateConnection = (options: ClientRequestArgs, callback: (error: unknown) => void) => Socket | undefined

/** Creates agents for SDKs under `rules`. Each request is checked when its socket is connected. */
export function createGuardedAgents(
  rules: EgressRules,
  resolve: Resolver,
  maxSockets = AGENT_OPTIONS.maxSockets
): EgressAgents {
  const http = new HttpAgent({ ...AGENT_OPTIONS, maxSockets })
  const https = new HttpsAgent({ ...AGENT_OPTIONS, maxSockets })
  guard(http, 'http:')
  guard(https, 'https:')
  return { http, https }

  function guard(agent: HttpAgent, protocol: string): void {
    const connect = agent.createConnection.bind(agent) as CreateConnection
    const guardedConnect: CreateConnection = (options, callback) => {
      const target = targetOfRequest(options, protocol)
      try {
        rules.assertTarget(target)
      } catch (denial) {
        // Not by a socket with an error: a request listens to its socket only one tick after it received it.
        callback(denial)
        removeEmptySocketList(agent, options)
        return undefined
      }
      // The caller's own `lookup` or socket path must not bypass the rules.
      const lookup = guardedLookup(rules, target, resolve)
      const socket = connect({ ...options, lookup, socketPath: undefined, path: null }, callback)
      if (socket !== undefined) checkOnConnect(rules, target, socket)
      return socket
    }
    agent.createConnection = guardedConnect
  }
}

/** Removes the empty socket list that the agent has created for a refused host: these lists would accumulate. */
function removeEmptySocketList(agent: HttpAgent, options: ClientRequestArgs): void {
  const sockets = agent.sockets as Record<string, Socket[] | undefined>
  // The types require more fields of `options` than are read.
  const name = agent.getName(options)
  if (sockets[name]?.length === 0) Reflect.deleteProperty(sockets, name)
}

function targetOfRequest({ host, hostname, port, defaultPort }: ClientRequestArgs, protocol: string): Target {
  const name = host ?? hostname ?? ''
  return { protocol, host: name.toLowerCase().replace(/^\[|\]$|\.$/g, ''), port: Number(port ?? defaultPort) }
}

/** Options of Node's agents for SDKs. Nothing needs closing when the process ends, see `timeout`. */
export const AGENT_OPTIONS = {
  keepAlive: true,
  /**
   * Lifetime of an idle socket: shorter than common servers' idle timeouts (5 s and more), so that no call uses a
   * socket that the server is closing. Node unrefs idle sockets, so they do not keep the process alive.
   */
  timeout: 4000,
  /** Per origin: all users of a service share these sockets. Calls and bodies have separate agents. */
  maxSockets: 1000,
  maxFreeSockets: 64
} satisfies AgentOptions

/** Shorter than common servers' idle timeouts (5 s and more): a call must not use a closing connection. */
const KEEP_ALIVE_MS = 4000
/** Per origin: all users of a service share these connections. */
export const MAX_CONNECTIONS = 1000

/**
 * Creates the connections of our own client. Each origin has a pool with its own connector, which resolves and checks
 * this origin only. The client checks the URL of each request; the connector checks the addresses.
 */
export async function createDispatcher(
  rules: EgressRules,
  resolve: Resolver,
  connectMs: number,
  maxConnections: number
): Promise<Agent> {
  const { Agent, buildConnector, Pool } = await import('undici')
  return new Agent({
    factory: (origin, options) => {
      const target = targetOf(new URL(origin))
      const lookup = guardedLookup(rules, target, resolve)
      return new Pool(origin, {
        ...(options as Pool.Options),
        connections: maxConnections,
        pipelining: 1,
        keepAliveTimeout: KEEP_ALIVE_MS,
        keepAliveMaxTimeout: KEEP_ALIVE_MS,
        connect: checkedConnector(rules, target, buildConnector({ timeout: connectMs, lookup }))
      })
    }
  })
}

function checkedConnector(
  rules: EgressRules,
  target: Target,
  connect: (...args: Parameters<buildConnector.connector>) => unknown
): buildConnector.connector {
  return (connectOptions, callback) => {
    // The types do not say that a connector returns the socket synchronously. The callback comes only after TLS, when
    // the peer has already received the host name.
    const socket = connect(connectOptions, callback)
    if (!(socket instanceof Socket)) throw new TypeError('The connector of this undici version returns no socket')
    checkOnConnect(rules, target, socket)
  }
}
