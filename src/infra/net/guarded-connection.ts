import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns'
import type { LookupFunction, Socket } from 'node:net'
import type { EgressRules, Target } from './egress-rules.ts'

/** Equals `dns.lookup` with `all: true`: returns every address of a name. */
export type Resolve = (
  name: string,
  options: LookupOptions & { all: true },
  callback: (error: Error | null, addresses?: readonly LookupAddress[]) => void
) => void

/** The system's resolver, which includes `/etc/hosts`. */
export const systemResolve: Resolve = systemLookup

/**
 * Returns a `lookup` for one connection to `target`. The addresses that it checks are the ones that are connected, so
 * a name cannot resolve to one address for the check and to another for the connection.
 */
export function guardedLookup(rules: EgressRules, target: Target, resolve: Resolve): LookupFunction {
  return (name, options, callback) => {
    resolve(name, { ...options, all: true }, (error, addresses = []) => {
      const [first] = addresses
      if (error !== null || first === undefined) {
        callback(error ?? failed('ENOTFOUND', 'The host name has no address'), [])
        return
      }
      try {
        rules.assertAddresses(
          target,
          addresses.map(({ address }) => address)
        )
      } catch (refusal) {
        callback(refusal as Error, [])
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
export function watchConnected(rules: EgressRules, target: Target, socket: Socket): void {
  socket.prependOnceListener('connect', () => {
    const { remoteAddress } = socket
    try {
      // A connection that the peer has already reset has no address. It must not be reported as forbidden.
      if (remoteAddress === undefined) throw failed('ECONNRESET', 'The connection was closed immediately')
      rules.assertAddresses(target, [remoteAddress])
    } catch (refusal) {
      socket.destroy(refusal as Error)
    }
  })
}

function failed(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}
