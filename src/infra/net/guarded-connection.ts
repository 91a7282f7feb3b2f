import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns'
import type { LookupFunction, Socket } from 'node:net'
import type { EgressRules, Target } from './egress-rules.ts'

/** As `dns.lookup` with `all: true`: every address of a name. */
export type Resolve = (
  name: string,
  options: LookupOptions & { all: true },
  callback: (error: Error | null, addresses?: readonly LookupAddress[]) => void
) => void

/** A resolver reads what the system knows, `/etc/hosts` included. */
export const systemResolve: Resolve = systemLookup

/**
 * A `lookup` for one connection to `target`: what it hands over was just checked, and is what will be connected, so
 * that a name cannot mean one address for the check and another one for the connection.
 */
export function guardedLookup(rules: EgressRules, target: Target, resolve: Resolve): LookupFunction {
  return (name, options, callback) => {
    resolve(name, { ...options, all: true }, (error, addresses = []) => {
      const [first] = addresses
      if (error !== null || first === undefined) {
        callback(error ?? failed('ENOTFOUND', 'The name has no address'), [])
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
 * The second look, at what is really connected: an address in a URL passes no `lookup`, some addresses (`0.0.0.0`)
 * lead to another one, and who knows what else slips past it. Destroys the socket before a byte is written to it, and
 * before TLS begins.
 */
export function watchConnected(rules: EgressRules, target: Target, socket: Socket): void {
  socket.prependOnceListener('connect', () => {
    const { remoteAddress } = socket
    try {
      // A peer that has reset the connection by now has no address any more, and is no forbidden one for that.
      if (remoteAddress === undefined) throw failed('ECONNRESET', 'The connection was closed at once')
      rules.assertAddresses(target, [remoteAddress])
    } catch (refusal) {
      socket.destroy(refusal as Error)
    }
  })
}

function failed(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}
