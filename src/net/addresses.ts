import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

export type HostAddress = ipaddr.IPv4 | ipaddr.IPv6

/** Addresses that start with the first `bits` of `address`. */
export interface AddressRange {
  readonly address: HostAddress
  readonly bits: number
}

/** Parses the usual notations (four decimal parts, or RFC 4291 without a zone), IPv4-mapped addresses as IPv4. */
export function parseAddress(text: string): HostAddress | null {
  if (isIPv4(text)) return ipaddr.IPv4.parse(text)
  if (!isIPv6(text) || text.includes('%')) return null
  return unmapIPv4(ipaddr.IPv6.parse(text))
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

export function isWithin(address: HostAddress, range: AddressRange): boolean {
  return address.kind() === range.address.kind() && address.match(range.address, range.bits)
}

function unmapIPv4(address: ipaddr.IPv6): HostAddress {
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address
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
export function isAlwaysDenied(address: HostAddress): boolean {
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
 * unique local, multicast, documentation, benchmark or reserved, and not a translation or tunnel to IPv4.
 */
export function isGlobalUnicast(address: HostAddress): boolean {
  if (address.kind() === 'ipv4') return address.range() === 'unicast' && !isAlwaysDenied(address)
  return isWithinAny(address, GLOBAL_IPV6) && !isWithinAny(address, SPECIAL_IPV6) && !isAlwaysDenied(address)
}

function isWithinAny(address: HostAddress, list: readonly AddressRange[]): boolean {
  return list.some((range) => isWithin(address, range))
}
