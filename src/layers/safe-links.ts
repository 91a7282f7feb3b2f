import type { DownloadUrl } from '../core/backend.ts'
import type { EgressPolicy } from '../core/egress.ts'
import type { Entry, EntryPage } from '../core/entry.ts'
import { parseOpenableLink } from '../core/provider-link.ts'
import { StorageError } from '../errors.ts'
import type { BackendMethod, CallRunner } from './layer.ts'

/**
 * Removes links that a browser must not open from entries, and rejects such a download link: host applications put
 * them into their pages, where a `javascript:` link of a user's server would run. It must be inside
 * all caches, so that they store no such links.
 */
export function withSafeLinks(next: CallRunner, policy: EgressPolicy): CallRunner {
  return async (method, call, run) => {
    const result = await next(method, call, run)
    return checkLinks(method, result, policy) as typeof result
  }
}

function checkLinks(method: BackendMethod, result: unknown, policy: EgressPolicy): unknown {
  if (method === 'listFolder') {
    const page = result as EntryPage
    return { ...page, entries: page.entries.map((entry) => withOpenableLinks(entry, policy)) }
  }
  if (method === 'stat' || method === 'upload' || method === 'createFolder')
    return withOpenableLinks(result as Entry, policy)
  if (method === 'downloadUrl' && parseOpenableLink((result as DownloadUrl).url, policy) === null) {
    // The message omits the link, which is a secret.
    throw new StorageError('PROVIDER_ERROR', 'The provider returned an unsafe download URL.')
  }
  return result
}

function withOpenableLinks(entry: Entry, policy: EgressPolicy): Entry {
  const { webUrl, thumbnailUrl } = entry
  if (webUrl === null && thumbnailUrl === null) return entry
  return {
    ...entry,
    webUrl: parseOpenableLink(webUrl, policy),
    thumbnailUrl: parseOpenableLink(thumbnailUrl, policy)
  }
}
