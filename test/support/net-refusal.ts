import { StorageError } from '../../src/domain/errors.ts'
import { EgressRules, targetOf } from '../../src/infra/net/egress-rules.ts'

const MESSAGE = 'This server may not be used.'

/**
 * Why `url` is refused, as the log will read it; `null` where it is allowed.
 *
 * @param addresses what its name means; none: only what is decided before a name is resolved
 */
export function refusal(allowHosts: readonly string[], url: string, addresses: readonly string[] = []): string | null {
  const rules = new EgressRules(allowHosts)
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
