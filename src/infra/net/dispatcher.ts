import { Socket } from 'node:net'
import type { Agent, buildConnector, Pool } from 'undici'
import type { Timeouts } from '../../domain/ports.ts'
import { type EgressRules, targetOf } from './egress-rules.ts'
import { guardedLookup, type Resolve, watchConnected } from './guarded-connection.ts'

/** Shorter than common servers' idle timeouts (5 s and more): a call must not use a closing connection. */
const KEEP_ALIVE_MS = 4000
/** Per origin: all users of a service share these connections. */
export const MAX_CONNECTIONS = 1000

/**
 * Creates the connections of one set of rules. Each origin has a pool with its own connector, which resolves and
 * checks this origin only.
 */
export async function createDispatcher(
  rules: EgressRules,
  resolve: Resolve,
  timeouts: Timeouts,
  maxConnections: number
): Promise<Agent> {
  const undici = await import('undici')
  return new undici.Agent({
    factory: (origin, options) =>
      new undici.Pool(origin, {
        ...(options as Pool.Options),
        connections: maxConnections,
        pipelining: 1,
        keepAliveTimeout: KEEP_ALIVE_MS,
        keepAliveMaxTimeout: KEEP_ALIVE_MS,
        connect: guardedConnector(undici.buildConnector, new URL(origin), rules, resolve, timeouts)
      })
  })
}

function guardedConnector(
  build: typeof buildConnector,
  origin: URL,
  rules: EgressRules,
  resolve: Resolve,
  timeouts: Timeouts
): buildConnector.connector {
  const target = targetOf(origin)
  const options = { timeout: timeouts.connectMs, lookup: guardedLookup(rules, target, resolve) }
  const connect: (...asked: Parameters<buildConnector.connector>) => unknown = build(options)
  return (asked, callback) => {
    try {
      rules.assertTarget(target)
    } catch (refusal) {
      callback(refusal as Error, null)
      return
    }
    // The types do not say that a connector returns the socket synchronously. The callback comes only after TLS, when
    // the peer has already received the host name.
    const socket = connect(asked, callback)
    if (!(socket instanceof Socket)) throw new TypeError('The connector of this undici version returns no socket')
    watchConnected(rules, target, socket)
  }
}
