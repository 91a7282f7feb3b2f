import type { EgressPolicy } from '../core/egress.ts'
import { Diagnosis, StorageError } from '../errors.ts'
import {
  type AddressRange,
  type HostAddress,
  isAlwaysDenied,
  isGlobalUnicast,
  isWithin,
  parseAddress,
  parseRange
} from './addresses.ts'

/** The target of a connection. */
export interface Target {
  readonly protocol: string
  /** A name without a trailing dot, or an address without brackets. */
  readonly host: string
  readonly port: number
}

/** Host names of cloud metadata services; their addresses are closed too. */
const DENIED_NAMES: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.goog',
  'metadata.google.internal',
  'metadata.tencentyun.com',
  'instance-data',
  'instance-data.ec2.internal'
])

const LOCALHOST = /(?:^|\.)localhost$/
const LOOPBACK = ['127.0.0.1', '::1'].flatMap((address) => parseAddress(address) ?? [])

const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http:', 80],
  ['https:', 443]
])

/** Returns a URL's target. URL has already normalised all address notations (0x7f.1, 2130706433, full-width digits). */
export function targetOf(url: URL): Target {
  const port = url.port === '' ? (DEFAULT_PORTS.get(url.protocol) ?? 0) : Number(url.port)
  return { protocol: url.protocol, host: withoutTrailingDot(unbracketed(url.hostname)), port }
}

/**
 * The hosts that a provider may reach on behalf of users: public addresses over https, and the operator's allowed
 * hosts at any address and also over http. Requests contain credentials, so plain http is for allowed hosts only.
 * Link-local and cloud metadata addresses are always closed.
 *
 * The rules apply to the address that is finally connected. A URL is rejected early only if the result is certain.
 */
export class EgressRules implements EgressPolicy {
  readonly #allowed: readonly AllowedHost[]

  /** @throws Error that names the invalid entry */
  constructor(allowHosts: readonly string[]) {
    this.#allowed = parseAllowHosts(allowHosts)
  }

  assertAllowed(url: URL): void {
    const reason = this.#urlDenialReason(url)
    if (reason !== null) throw endpointForbidden(`${url.protocol}//${url.host}: ${reason}`)
  }

  /**
   * Does the same as {@link assertAllowed}, for clients that do not have the URL.
   *
   * @throws StorageError `ENDPOINT_FORBIDDEN`
   */
  assertTarget(target: Target): void {
    const reason = this.#targetDenialReason(target)
    if (reason !== null) throw endpointForbidden(`${formatTarget(target)}: ${reason}`)
  }

  /**
   * Rejects a name if any of its addresses is forbidden: its DNS server could make us connect to either one.
   *
   * @throws StorageError `ENDPOINT_FORBIDDEN`
   */
  assertAddresses(target: Target, addresses: readonly string[]): void {
    for (const text of addresses) {
      const address = parseAddress(text)
      const reason = address === null ? 'not a valid address' : this.#addressDenialReason(target, address)
      if (reason !== null) throw endpointForbidden(`${formatTarget(target)} is ${text}: ${reason}`)
    }
  }

  #urlDenialReason(url: URL): string | null {
    if (!DEFAULT_PORTS.has(url.protocol)) return 'neither http nor https'
    if (url.username !== '' || url.password !== '') return 'the URL contains a user name or password'
    return this.#targetDenialReason(targetOf(url))
  }

  #targetDenialReason(target: Target): string | null {
    const { protocol, host, port } = target
    const address = parseAddress(host)
    if (address !== null) return this.#addressDenialReason(target, address)
    // For example an address with a zone, which would be connected without name resolution.
    if (host === '' || host.includes(':')) return 'not a valid address'
    if (DENIED_NAMES.has(host)) return 'cloud metadata'
    if (allowsName(this.#allowed, host, port)) return null
    // Loopback by definition (RFC 6761, 6.3), whether or not it can be resolved.
    if (LOCALHOST.test(host) && !this.#allowsLoopback(target)) return 'not a public address, and not in allowHosts'
    const isAllowed = protocol === 'https:' || allowsSomeAddress(this.#allowed, port)
    return isAllowed ? null : 'plain http, and not in allowHosts'
  }

  #allowsLoopback({ port }: Target): boolean {
    return LOOPBACK.some((address) => allowsAddress(this.#allowed, address, port))
  }

  #addressDenialReason({ protocol, host, port }: Target, address: HostAddress): string | null {
    if (isAlwaysDenied(address)) return 'link-local or cloud metadata'
    if (allowsName(this.#allowed, host, port) || allowsAddress(this.#allowed, address, port)) return null
    if (!isGlobalUnicast(address)) return 'not a public address, and not in allowHosts'
    return protocol === 'https:' ? null : 'plain http, and not in allowHosts'
  }
}

function formatTarget({ protocol, host, port }: Target): string {
  return `${protocol}//${host}:${port}`
}

function endpointForbidden(reason: string): StorageError {
  return new StorageError('ENDPOINT_FORBIDDEN', 'Connections to this server are not allowed.', {
    cause: new Diagnosis(reason)
  })
}

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

export function unbracketed(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
}

export function withoutTrailingDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name
}

function invalidEntry(entry: string, reason: string): Error {
  return new Error(`allowHosts: "${entry}" is invalid: ${reason}`)
}
