import type { EgressPolicy } from '../core/egress.ts'
import type { Entry, EntryPage } from '../core/entry.ts'
import { StorageError } from '../errors.ts'
import { parseOpenableLink } from '../core/provider-link.ts'
import type { DownloadUrl, StorageBackend } from '../core/backend.ts'
import { aroundEach, type BackendCall } from './layer.ts'

/**
 * Removes links that a browser must not open from entries, and rejects such a download link: host applications put
 * them into their pages, where a `javascript:` link of a user's server would run. It must be inside of
 * all caches, so that they store no such links.
 */
export function withSafeLinks(backend: StorageBackend, policy: EgressPolicy): StorageBackend {
  return aroundEach(backend, async (call, signal, run) => {
    const answer = await run(signal)
    return withChecked(call, answer, policy) as typeof answer
  })
}

function withChecked(call: BackendCall, answer: unknown, policy: EgressPolicy): unknown {
  if (call === 'listFolder') {
    const page = answer as EntryPage
    return { ...page, entries: page.entries.map((entry) => withOpenableLinks(entry, policy)) }
  }
  if (call === 'stat' || call === 'upload' || call === 'createFolder') return withOpenableLinks(answer as Entry, policy)
  if (call === 'downloadUrl' && parseOpenableLink((answer as DownloadUrl).url, policy) === null) {
    // The message omits the link, which is a secret.
    throw new StorageError('PROVIDER_ERROR', 'The provider returned an unsafe download URL.')
  }
  return answer
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
