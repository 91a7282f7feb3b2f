import { StorageError } from '../../domain/errors.ts'
import type { EgressPolicy } from '../../domain/ports.ts'
import { isAlwaysClosed, isWithin, parseAddress, parseRange } from './host-address.ts'
import type { AddressRange, HostAddress } from './host-address.ts'

/** One parsed entry of `allowHosts`. Without a port: every port. */
export type AllowedHost =
  | { readonly range: AddressRange; readonly port: number | null }
  | { readonly name: string; readonly port: number | null }

/** Names under which clouds serve metadata; their addresses are closed too. */
const CLOSED_NAMES: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.goog',
  'metadata.google.internal',
  'metadata.tencentyun.com',
  'instance-data',
  'instance-data.ec2.internal'
])

/** Underscores are no host names by RFC 1123, but containers are called so. */
const NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/
const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http:', 80],
  ['https:', 443]
])

/**
 * Parses the operator's list: `10.0.0.0/24`, `fd00::/8`, `10.1.2.3`, `10.1.2.3:9000`, `[::1]:9000`, `nas.lan`,
 * `nas.lan:8443`.
 *
 * @throws Error that names the entry at fault
 */
export function parseAllowHosts(entries: readonly string[]): AllowedHost[] {
  return entries.map(parseEntry)
}

/**
 * What a provider may reach on behalf of users: the hosts that the operator names, by http and https, and nothing
 * else. Link-local and cloud metadata addresses stay closed whatever is named.
 *
 * A name that the operator allows is trusted with wherever it resolves to: nothing is looked up here.
 *
 * @throws Error that names the entry at fault
 */
export function createEgressPolicy(allowHosts: readonly string[]): EgressPolicy {
  const allowed = parseAllowHosts(allowHosts)
  return {
    assertAllowed(url: URL): void {
      const refusal = refusalOf(url, allowed)
      if (refusal === null) return
      throw new StorageError('ENDPOINT_FORBIDDEN', 'This server may not be used.', {
        cause: new Error(`${url.protocol}//${url.host}: ${refusal}`)
      })
    }
  }
}

function refusalOf(url: URL, allowed: readonly AllowedHost[]): string | null {
  const defaultPort = DEFAULT_PORTS.get(url.protocol)
  if (defaultPort === undefined) return 'neither http nor https'
  if (url.username !== '' || url.password !== '') return 'the URL holds a user name or a password'
  const port = url.port === '' ? defaultPort : Number(url.port)
  // URL has brought every notation of an address (0x7f.1, 2130706433, full-width digits) to the usual one by now.
  const host = unbracketed(url.hostname)
  const address = parseAddress(host)
  if (address === null) return refusalOfName(withoutTrailingDot(host), port, allowed)
  if (isAlwaysClosed(address)) return 'link-local or cloud metadata'
  return allowed.some((entry) => allowsAddress(entry, address, port)) ? null : 'not in allowHosts'
}

function refusalOfName(name: string, port: number, allowed: readonly AllowedHost[]): string | null {
  if (CLOSED_NAMES.has(name)) return 'cloud metadata'
  return allowed.some((entry) => allowsName(entry, name, port)) ? null : 'not in allowHosts'
}

function allowsAddress(entry: AllowedHost, address: HostAddress, port: number): boolean {
  return 'range' in entry && allowsPort(entry, port) && isWithin(address, entry.range)
}

function allowsName(entry: AllowedHost, name: string, port: number): boolean {
  return 'name' in entry && allowsPort(entry, port) && entry.name === name
}

function allowsPort(entry: AllowedHost, port: number): boolean {
  return entry.port === null || entry.port === port
}

function parseEntry(entry: unknown): AllowedHost {
  if (typeof entry !== 'string') throw new Error('allowHosts: every entry must be a string')
  if (entry.includes('*')) throw unusable(entry, 'there are no wildcards, name each host or an address range')
  if (entry.includes('://')) throw unusable(entry, 'leave the scheme out, an entry is host or host:port')
  if (entry.includes('/')) {
    const range = parseRange(entry)
    if (range === null) throw unusable(entry, 'not an address range like 10.0.0.0/24 or fd00::/8 (which take no port)')
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
  if (host === undefined) throw unusable(entry, 'neither host nor host:port; an IPv6 address with a port stands in []')
  if (port === undefined) return { host, port: null }
  if (Number(port) < 1 || Number(port) > 65_535) throw unusable(entry, 'the port must be 1 to 65535')
  return { host, port: Number(port) }
}

/** The name as URL will spell it: lower case, IDNA, no trailing dot. */
function parseName(entry: string, host: string): string {
  if (/[\s@?#%\\[\]]/.test(host) || !URL.canParse(`http://${host}`)) throw unusable(entry, 'not a host')
  const name = withoutTrailingDot(new URL(`http://${host}`).hostname)
  if (parseAddress(name) !== null) throw unusable(entry, `an unusual way to write an address, write ${name}`)
  if (!NAME.test(name)) throw unusable(entry, 'not a host')
  return name
}

function single(address: HostAddress): AddressRange {
  return { address, bits: address.kind() === 'ipv4' ? 32 : 128 }
}

function unbracketed(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
}

function withoutTrailingDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name
}

function unusable(entry: string, reason: string): Error {
  return new Error(`allowHosts: "${entry}" cannot be used: ${reason}`)
}
