import type { EgressPolicy } from '../../domain/egress.ts'
import { Diagnosis, StorageError } from '../../domain/errors.ts'
import {
  type AllowedHost,
  allowsAddress,
  allowsName,
  allowsSomeAddress,
  parseAllowHosts,
  unbracketed,
  withoutTrailingDot
} from './allow-hosts.ts'
import { type HostAddress, isAlwaysClosed, isGlobalUnicast, parseAddress } from './host-address.ts'

/** The target of a connection. */
export interface Target {
  readonly protocol: string
  /** A name without a trailing dot, or an address without brackets. */
  readonly host: string
  readonly port: number
}

/** Host names of cloud metadata services; their addresses are closed too. */
const CLOSED_NAMES: ReadonlySet<string> = new Set([
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
    const refusal = this.#refusalOfUrl(url)
    if (refusal !== null) throw forbidden(`${url.protocol}//${url.host}: ${refusal}`)
  }

  /**
   * Does the same as {@link assertAllowed}, for clients that do not have the URL.
   *
   * @throws StorageError `ENDPOINT_FORBIDDEN`
   */
  assertTarget(target: Target): void {
    const refusal = this.#refusalOfTarget(target)
    if (refusal !== null) throw forbidden(`${spell(target)}: ${refusal}`)
  }

  /**
   * Rejects a name if any of its addresses is forbidden: its DNS server could make us connect to either one.
   *
   * @throws StorageError `ENDPOINT_FORBIDDEN`
   */
  assertAddresses(target: Target, addresses: readonly string[]): void {
    for (const text of addresses) {
      const address = parseAddress(text)
      const refusal = address === null ? 'not a valid address' : this.#refusalOfAddress(target, address)
      if (refusal !== null) throw forbidden(`${spell(target)} is ${text}: ${refusal}`)
    }
  }

  #refusalOfUrl(url: URL): string | null {
    if (!DEFAULT_PORTS.has(url.protocol)) return 'neither http nor https'
    if (url.username !== '' || url.password !== '') return 'the URL contains a user name or password'
    return this.#refusalOfTarget(targetOf(url))
  }

  #refusalOfTarget(target: Target): string | null {
    const { protocol, host, port } = target
    const address = parseAddress(host)
    if (address !== null) return this.#refusalOfAddress(target, address)
    // For example an address with a zone, which would be connected without name resolution.
    if (host === '' || host.includes(':')) return 'not a valid address'
    if (CLOSED_NAMES.has(host)) return 'cloud metadata'
    if (allowsName(this.#allowed, host, port)) return null
    // Loopback by definition (RFC 6761, 6.3), whether or not it can be resolved.
    if (LOCALHOST.test(host) && !this.#allowsLoopback(target)) return 'not a public address, and not in allowHosts'
    const isOpen = protocol === 'https:' || allowsSomeAddress(this.#allowed, port)
    return isOpen ? null : 'plain http, and not in allowHosts'
  }

  #allowsLoopback({ port }: Target): boolean {
    return LOOPBACK.some((address) => allowsAddress(this.#allowed, address, port))
  }

  #refusalOfAddress({ protocol, host, port }: Target, address: HostAddress): string | null {
    if (isAlwaysClosed(address)) return 'link-local or cloud metadata'
    if (allowsName(this.#allowed, host, port) || allowsAddress(this.#allowed, address, port)) return null
    if (!isGlobalUnicast(address)) return 'not a public address, and not in allowHosts'
    return protocol === 'https:' ? null : 'plain http, and not in allowHosts'
  }
}

function spell({ protocol, host, port }: Target): string {
  return `${protocol}//${host}:${port}`
}

function forbidden(why: string): StorageError {
  return new StorageError('ENDPOINT_FORBIDDEN', 'Connections to this server are not allowed.', {
    cause: new Diagnosis(why)
  })
}
