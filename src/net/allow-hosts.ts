import {
  type AddressRange,
  type AllowedHost,
  type HostAddress,
  parseAddress,
  parseRange,
  unbracketed,
  withoutTrailingDot
} from './egress-rules.ts'

/** Includes underscores: RFC 1123 does not allow them in host names, but containers have such names. */
const NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/

/**
 * Parses the operator's list: `10.0.0.0/24`, `fd00::/8`, `10.1.2.3`, `10.1.2.3:9000`, `[::1]:9000`, `nas.lan`,
 * `nas.lan:8443`.
 *
 * @throws Error that names the invalid entry
 */
export function parseAllowHosts(entries: readonly string[]): AllowedHost[] {
  return entries.map(parseEntry)
}

function parseEntry(entry: unknown): AllowedHost {
  if (typeof entry !== 'string') throw new Error('allowHosts: every entry must be a string')
  if (entry.includes('*')) throw invalidEntry(entry, 'wildcards are not supported, list each host or an address range')
  if (entry.includes('://')) throw invalidEntry(entry, 'it must be host or host:port, without a scheme')
  if (entry.includes('/')) {
    const range = parseRange(entry)
    if (range === null) throw invalidEntry(entry, 'not an address range like 10.0.0.0/24 or fd00::/8 (without a port)')
    return { range, port: null }
  }
  const bareAddress = parseAddress(entry)
  if (bareAddress !== null) return { range: singleAddressRange(bareAddress), port: null }
  const { host, port } = splitPort(entry)
  const address = parseAddress(unbracketed(host))
  if (address !== null) return { range: singleAddressRange(address), port }
  return { name: parseName(entry, host), port }
}

function splitPort(entry: string): { host: string; port: number | null } {
  const match = /^(?<host>\[[^\]]*\]|[^:]*)(?::(?<port>\d{1,5}))?$/.exec(entry)
  const { host, port } = match?.groups ?? {}
  if (host === undefined) throw invalidEntry(entry, 'not host or host:port; an IPv6 address with a port must be in []')
  if (port === undefined) return { host, port: null }
  if (Number(port) < 1 || Number(port) > 65_535) throw invalidEntry(entry, 'the port must be 1 to 65535')
  return { host, port: Number(port) }
}

/** Returns the name as URL normalises it: lower case, IDNA, no trailing dot. */
function parseName(entry: string, host: string): string {
  if (/[\s@?#%\\[\]]/.test(host) || !URL.canParse(`http://${host}`)) throw invalidEntry(entry, 'not a valid host')
  const name = withoutTrailingDot(new URL(`http://${host}`).hostname)
  if (parseAddress(name) !== null) throw invalidEntry(entry, `non-standard notation of an address, use ${name}`)
  if (!NAME.test(name)) throw invalidEntry(entry, 'not a valid host')
  return name
}

function singleAddressRange(address: HostAddress): AddressRange {
  return { address, bits: address.kind() === 'ipv4' ? 32 : 128 }
}

function invalidEntry(entry: string, reason: string): Error {
  return new Error(`allowHosts: "${entry}" is invalid: ${reason}`)
}
