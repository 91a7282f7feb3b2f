import type { EgressPolicy } from './egress.ts'
import { isStorageError, StorageError } from './errors.ts'

/** Longer ones are no links that a browser opens. */
const MAX_LINK_LENGTH = 8192

/**
 * Parses a link that a provider sent: a page to open or to log in at, an image, a download. Links with other schemes
 * than http and https (`javascript:`, `data:`, `blob:`), and with a user name or a password, are none.
 *
 * @returns the link in the form in which a browser reads it, or `null`
 */
export function parseProviderLink(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > MAX_LINK_LENGTH || !URL.canParse(value)) return null
  const { protocol, username, password, href } = new URL(value)
  return (protocol === 'https:' || protocol === 'http:') && username + password === '' ? href : null
}

/**
 * Parses a link that is given to a browser. Plain http is for hosts that the operator allows (`allowHosts`).
 *
 * @returns `null` for every other link
 */
export function parseOpenableLink(value: unknown, policy: EgressPolicy): string | null {
  const link = parseProviderLink(value)
  return link === null || link.startsWith('https:') || isAllowed(new URL(link), policy) ? link : null
}

/**
 * A page to which a user is sent.
 *
 * @throws StorageError `PROVIDER_ERROR` for what is no link
 */
export function requireLink(link: string | null): string {
  if (link !== null) return link
  throw new StorageError('PROVIDER_ERROR', 'The provider named a sign-in page that a browser must not open.')
}

function isAllowed(url: URL, policy: EgressPolicy): boolean {
  try {
    policy.assertAllowed(url)
    return true
  } catch (error) {
    if (isStorageError(error, 'ENDPOINT_FORBIDDEN')) return false
    throw error
  }
}
