import type { EgressPolicy } from './egress.ts'
import { isStorageError, StorageError } from '../errors.ts'

/** Browsers do not open longer links. */
const MAX_LINK_LENGTH = 8192

/**
 * Links that a browser does not change and that have no user name, password or port: nearly all links of entries.
 * Parsing those of a page as URLs would take a tenth of its load.
 */
const PLAIN_LINK = /^https:\/\/(?:[a-z0-9]+[.-])+[a-z]{2,63}\/(?!\.)(?:[\w~=&+?-]|\.(?!\.)|\/(?!\.))*$/

/**
 * Parses a link from a provider: a web page, a sign-in page, an image or a download. Rejects links with a scheme
 * other than http and https (`javascript:`, `data:`, `blob:`), and links with a user name or a password.
 *
 * @returns the link as a browser normalises it, or `null`
 */
export function parseProviderLink(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > MAX_LINK_LENGTH) return null
  if (PLAIN_LINK.test(value)) return value
  if (!URL.canParse(value)) return null
  const { protocol, username, password, href } = new URL(value)
  return (protocol === 'https:' || protocol === 'http:') && username + password === '' ? href : null
}

/**
 * Parses a link for a browser. Plain http is accepted only for hosts that the operator allows (`allowHosts`).
 *
 * @returns `null` for every other link
 */
export function parseOpenableLink(value: unknown, policy: EgressPolicy): string | null {
  const link = parseProviderLink(value)
  return link === null || link.startsWith('https:') || isAllowed(new URL(link), policy) ? link : null
}

/**
 * Returns the link of a page to which a user is redirected.
 *
 * @throws StorageError `PROVIDER_ERROR` if it is `null`
 */
export function requireLink(link: string | null): string {
  if (link !== null) return link
  throw new StorageError('PROVIDER_ERROR', 'The provider returned an unsafe sign-in URL.')
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
