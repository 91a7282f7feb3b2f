import { StorageError } from '../../../src/errors.ts'
import { parseAllowHosts } from '../../../src/net/allow-hosts.ts'
import { EgressRules, targetOf } from '../../../src/net/egress-rules.ts'

const MESSAGE = 'Connections to this server are not allowed.'

/**
 * Returns why `url` is refused, as logged; `null` if it is allowed.
 * @param addresses the addresses of its host name; without them, checks only the rules before name resolution
 */
export function denialReason(
  allowHosts: readonly string[],
  url: string,
  addresses: readonly string[] = []
): string | null {
  const rules = new EgressRules(parseAllowHosts(allowHosts))
  try {
    rules.assertAllowed(new URL(url))
    rules.assertAddresses(targetOf(new URL(url)), addresses)
    return null
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'ENDPOINT_FORBIDDEN' || error.message !== MESSAGE)
      throw error
    return (error.cause as Error).message
  }
}
