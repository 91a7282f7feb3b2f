import { isWithin, parseAddress, parseRange } from './host-address.ts'
import type { AddressRange, HostAddress } from './host-address.ts'

/** A parsed entry of `allowHosts`. Without a port it covers all ports. */
export type AllowedHost =
  | { readonly range: AddressRange; readonly port: number | null }
  | { readonly name: string; readonly port: number | null }

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

/** Returns true if the list contains this host by name. */
export function allowsName(allowed: readonly AllowedHost[], name: string, port: number): boolean {
  return allowed.some((entry) => 'name' in entry && allowsPort(entry, port) && entry.name === name)
}

/** Returns true if the list contains this address, alone or in a range. */
export function allowsAddress(allowed: readonly AllowedHost[], address: HostAddress, port: number): boolean {
  return allowed.some((entry) => 'range' in entry && allowsPort(entry, port) && isWithin(address, entry.range))
}

/** Returns true if the list contains any address with this port, to which a name may resolve. */
export function allowsSomeAddress(allowed: readonly AllowedHost[], port: number): boolean {
  return allowed.some((entry) => 'range' in entry && allowsPort(entry, port))
}

function allowsPort(entry: AllowedHost, port: number): boolean {
  return entry.port === null || entry.port === port
}

function parseEntry(entry: unknown): AllowedHost {
  if (typeof entry !== 'string') throw new Error('allowHosts: every entry must be a string')
  if (entry.includes('*')) throw unusable(entry, 'wildcards are not supported, list each host or an address range')
  if (entry.includes('://')) throw unusable(entry, 'it must be host or host:port, without a scheme')
  if (entry.includes('/')) {
    const range = parseRange(entry)
    if (range === null) throw unusable(entry, 'not an address range like 10.0.0.0/24 or fd00::/8 (without a port)')
    return { range, port: null }
  }
  const whole = parseAddress(entry)
  if (whole !== null) return { range: single(whole), port: null }
  const { host, port } = splitPort(entry)
  const address = parseAddress(unbracketed(host))
  if (address !== null) return { range: single(address), port }
  return { name: parseName(entry, host), port }
}

function splitPort(entry: string): { host: string; port: number | null } {
  const match = /^(?<host>\[[^\]]*\]|[^:]*)(?::(?<port>\d{1,5}))?$/.exec(entry)
  const { host, port } = match?.groups ?? {}
  if (host === undefined) throw unusable(entry, 'not host or host:port; an IPv6 address with a port must be in []')
  if (port === undefined) return { host, port: null }
  if (Number(port) < 1 || Number(port) > 65_535) throw unusable(entry, 'the port must be 1 to 65535')
  return { host, port: Number(port) }
}

/** Returns the name as URL normalises it: lower case, IDNA, no trailing dot. */
function parseName(entry: string, host: string): string {
  if (/[\s@?#%\\[\]]/.test(host) || !URL.canParse(`http://${host}`)) throw unusable(entry, 'not a valid host')
  const name = withoutTrailingDot(new URL(`http://${host}`).hostname)
  if (parseAddress(name) !== null) throw unusable(entry, `non-standard notation of an address, use ${name}`)
  if (!NAME.test(name)) throw unusable(entry, 'not a valid host')
  return name
}

function single(address: HostAddress): AddressRange {
  return { address, bits: address.kind() === 'ipv4' ? 32 : 128 }
}

export function unbracketed(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
}

export function withoutTrailingDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name
}

function unusable(entry: string, reason: string): Error {
  return new Error(`allowHosts: "${entry}" is invalid: ${reason}`)
}
