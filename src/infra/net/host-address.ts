import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

export type HostAddress = ipaddr.IPv4 | ipaddr.IPv6

/** Addresses that start with the first `bits` of `address`. */
export interface AddressRange {
  readonly address: HostAddress
  readonly bits: number
}

/** An address in its usual notation (four decimal parts, or RFC 4291 without a zone), IPv4-mapped ones as IPv4. */
export function parseAddress(text: string): HostAddress | null {
  if (isIPv4(text)) return ipaddr.IPv4.parse(text)
  if (!isIPv6(text) || text.includes('%')) return null
  return unmapped(ipaddr.IPv6.parse(text))
}

/** `10.0.0.0/24`, `fd00::/8`; a range inside of `::ffff:0:0/96` comes out as the IPv4 range that it is. */
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

function unmapped(address: ipaddr.IPv6): HostAddress {
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address
}

function ranges(...texts: string[]): readonly AddressRange[] {
  return texts.map((text) => {
    const range = parseRange(text)
    if (range === null) throw new TypeError(`${text} is no address range`)
    return range
  })
}

/**
 * Where machines learn who they are and with which keys: link-local (AWS, Azure, Google Cloud, OpenStack …), and the
 * clouds' metadata addresses outside of it.
 */
const CLOSED = ranges(
  '169.254.0.0/16',
  'fe80::/10',
  'fd00:ec2::/32', // AWS
  'fd20:ce::254/128', // Google Cloud
  'fd00:42::42/128', // Scaleway
  '100.100.100.200/32', // Alibaba Cloud
  '168.63.129.16/32', // Azure, the host's own agent
  '192.0.0.192/32' // Oracle Cloud, classic
)

/** IPv6 ranges whose last 32 bits are an IPv4 address: compatible, NAT64 (RFC 6052, RFC 8215), SIIT (RFC 7915). */
const ENDS_IN_IPV4 = ranges('::/96', '64:ff9b::/96', '64:ff9b:1::/48', '::ffff:0:0:0/96')
/** 6to4 (RFC 3056) carries the IPv4 address behind its first 16 bits. */
const SIX_TO_FOUR = ranges('2002::/16')

/** Whether an address stays out of reach whatever the operator allows, written as itself or inside of an IPv6 one. */
export function isAlwaysClosed(address: HostAddress): boolean {
  return [address, ...embedded(address)].some((each) => CLOSED.some((range) => isWithin(each, range)))
}

function embedded(address: HostAddress): ipaddr.IPv4[] {
  const bytes = address.toByteArray()
  if (ENDS_IN_IPV4.some((range) => isWithin(address, range))) return [new ipaddr.IPv4(bytes.slice(12))]
  if (SIX_TO_FOUR.some((range) => isWithin(address, range))) return [new ipaddr.IPv4(bytes.slice(2, 6))]
  return []
}
