import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { EgressPolicy } from '../core/egress.ts'
import { Diagnosis, StorageError } from '../errors.ts'

/** The target of a connection. */
export interface Target {
  readonly protocol: string
  /** A name without a trailing dot, or an address without brackets. */
  readonly host: string
  readonly port: number
}

export type HostAddress = ipaddr.IPv4 | ipaddr.IPv6

/** Addresses that start with the first `bits` of `address`. */
export interface AddressRange {
  readonly address: HostAddress
  readonly bits: number
}

/** A parsed entry of `allowHosts`. Without a port it covers all ports. */
export type AllowedHost =
  | { readonly range: AddressRange; readonly port: number | null }
  | { readonly name: string; readonly port: number | null }

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

  /** @param allowed the operator's list, as returned by `parseAllowHosts` */
  constructor(allowed: readonly AllowedHost[]) {
    this.#allowed = allowed
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

/** Returns true if the list contains this host by name. */
function allowsName(allowed: readonly AllowedHost[], name: string, port: number): boolean {
  return allowed.some((entry) => 'name' in entry && allowsPort(entry, port) && entry.name === name)
}

/** Returns true if the list contains this address, alone or in a range. */
function allowsAddress(allowed: readonly AllowedHost[], address: HostAddress, port: number): boolean {
  return allowed.some((entry) => 'range' in entry && allowsPort(entry, port) && isWithin(address, entry.range))
}

/** Returns true if the list contains any address with this port, to which a name may resolve. */
function allowsSomeAddress(allowed: readonly AllowedHost[], port: number): boolean {
  return allowed.some((entry) => 'range' in entry && allowsPort(entry, port))
}

function allowsPort(entry: AllowedHost, port: number): boolean {
  return entry.port === null || entry.port === port
}

export function unbracketed(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
}

export function withoutTrailingDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name
}

/** Parses the usual notations (four decimal parts, or RFC 4291 without a zone), IPv4-mapped addresses as IPv4. */
export function parseAddress(text: string): HostAddress | null {
  if (isIPv4(text)) return ipaddr.IPv4.parse(text)
  if (!isIPv6(text) || text.includes('%')) return null
  const address = ipaddr.IPv6.parse(text)
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address
}

/** Parses `10.0.0.0/24` or `fd00::/8`; a range inside `::ffff:0:0/96` is returned as its IPv4 range. */
export function parseRange(text: string): AddressRange | null {
  const [host = '', prefix = '', ...rest] = text.split('/')
  if (rest.length > 0 || host.includes('%') || !/^\d{1,3}$/.test(prefix)) return null
  const bits = Number(prefix)
  if (isIPv4(host)) return bits <= 32 ? { address: ipaddr.IPv4.parse(host), bits } : null
  if (!isIPv6(host) || bits > 128) return null
  const address = ipaddr.IPv6.parse(host)
  return address.isIPv4MappedAddress() && bits >= 96
    ? { address: address.toIPv4Address(), bits: bits - 96 }
    : { address, bits }
}

function isWithin(address: HostAddress, range: AddressRange): boolean {
  return address.kind() === range.address.kind() && address.match(range.address, range.bits)
}

function parseRanges(...texts: string[]): readonly AddressRange[] {
  return texts.map((text) => {
    const range = parseRange(text)
    if (range === null) throw new TypeError(`${text} is not an address range`)
    return range
  })
}

/**
 * Addresses from which machines get their identity and keys: link-local (AWS, Azure, Google Cloud, OpenStack …), and
 * the clouds' metadata addresses outside of it.
 */
const DENIED_RANGES = parseRanges(
  '169.254.0.0/16',
  'fe80::/10',
  'fd00:ec2::/32', // AWS
  'fd20:ce::254/128', // Google Cloud
  'fd00:42::42/128', // Scaleway
  '100.100.100.200/32', // Alibaba Cloud
  '168.63.129.16/32', // Azure, the host's own agent
  '192.0.0.192/32' // Oracle Cloud, classic
)

/** IPv6 ranges with an IPv4 address in the last 32 bits: compatible, NAT64 (RFC 6052), SIIT (RFC 7915). */
const IPV4_SUFFIX_RANGES = parseRanges('::/96', '64:ff9b::/96', '::ffff:0:0:0/96')
/** Local-use NAT64 (RFC 8215), which has the IPv4 address in one of several positions (RFC 6052, 2.2). */
const LOCAL_NAT64 = parseRanges('64:ff9b:1::/48')
const NAT64_BYTE_POSITIONS = [
  [6, 7, 9, 10],
  [7, 9, 10, 11],
  [9, 10, 11, 12],
  [12, 13, 14, 15]
]
/** 6to4 (RFC 3056) has the IPv4 address after its first 16 bits. */
const SIX_TO_FOUR = parseRanges('2002::/16')

/** Returns true for an address that is always refused, whether alone or embedded in an IPv6 address. */
function isAlwaysDenied(address: HostAddress): boolean {
  return [address, ...embeddedIPv4(address)].some((candidate) => isWithinAny(candidate, DENIED_RANGES))
}

function embeddedIPv4(address: HostAddress): ipaddr.IPv4[] {
  const bytes = address.toByteArray()
  if (isWithinAny(address, IPV4_SUFFIX_RANGES)) return [new ipaddr.IPv4(bytes.slice(12))]
  if (isWithinAny(address, SIX_TO_FOUR)) return [new ipaddr.IPv4(bytes.slice(2, 6))]
  if (isWithinAny(address, LOCAL_NAT64)) {
    return NAT64_BYTE_POSITIONS.map((positions) => new ipaddr.IPv4(positions.map((index) => bytes[index] ?? 0)))
  }
  return []
}

const GLOBAL_IPV6 = parseRanges('2000::/3')
/** Special ranges inside 2000::/3 by IANA's registry (2026-11): protocols, documentation, AS112, and 6to4. */
const SPECIAL_IPV6 = parseRanges('2001::/23', '2001:db8::/32', '2620:4f:8000::/48', '3fff::/20', '2002::/16')

/**
 * Returns true for an address of the public internet: not loopback, private, shared (carrier-grade NAT), link-local,
 * unique local, multicast, documentation, benchmark or reserved, and not a translation or tunnel to IPv4. Some of the
 * addresses that are always denied are in public ranges.
 */
function isGlobalUnicast(address: HostAddress): boolean {
  if (address.kind() === 'ipv4') return address.range() === 'unicast'
  return isWithinAny(address, GLOBAL_IPV6) && !isWithinAny(address, SPECIAL_IPV6)
}

function isWithinAny(address: HostAddress, list: readonly AddressRange[]): boolean {
  return list.some((range) => isWithin(address, range))
}
