import type { DownloadResets } from '../content.ts'
import type { GraphError } from './failure.ts'
import type { GraphKind } from './node.ts'
import type { PageFault } from '../pages.ts'

/**
 * `query`: `delta?token=…`. `function`: `delta(token='…')`. `qualified`: the same with a namespace, with quoted keys,
 * and with the parameters of the request, even `token=latest` (microsoft-graph-docs issue 2317).
 */
export type FeedLinks = 'query' | 'function' | 'qualified'

/** Settings that a test may change while the fake runs. */
export interface FakeGraphKnobs {
  pageFault: PageFault | undefined
  /** The maximum page length, regardless of the request. */
  pageLimit: number
  /** Maximum lengths of the next pages; 0 gives an empty page with a link. Each is used once. */
  readonly shortPages: number[]
  /** Whether listings contain `@odata.count`. */
  sendsCount: boolean
  /** The storage quota of a drive. */
  quotaBytes: number | undefined
  /** The limit of an upload without a session; Microsoft's is 250 MB. */
  maxSimpleBytes: number
  /** Resets downloads after some bytes of their content. */
  downloadResets: DownloadResets
  /** Omits the download address of items, even if all properties are requested. */
  omitsDownloadUrl: boolean
  /** The age in milliseconds at which a change appears in the feed. Microsoft's lags behind its notifications. */
  feedLagMs: number
  /** The feed does not contain the items in a deleted folder. Microsoft does not document whether it does. */
  omitsDeletedContent: boolean
  /** How the links of the feed contain the token. */
  feedLinks: FeedLinks
  /** The response to all requests for changes, as in clouds without them. */
  noFeedError: GraphError | undefined
  /** The response to all `/me/drive` requests of a user without a drive. */
  noDriveError: GraphError | undefined
  /** Downloads are complete, regardless of the requested range. */
  ignoresRanges: boolean
  /** Maximum bytes stored of the next fragments, in multiples of 320 KiB. Each is used once. */
  readonly storedFragmentBytes: number[]
  /** The number of fragments that are stored before their connection is reset instead of a response. */
  lostFragmentResponses: number
  /** Whether sessions accept `fileSize`: Microsoft says "Only on OneDrive Personal"; business sends a 400. */
  acceptsFileSize: boolean
}

export const newKnobs = (kind: GraphKind): FakeGraphKnobs => ({
  pageFault: undefined,
  pageLimit: Infinity,
  shortPages: [],
  sendsCount: false,
  quotaBytes: undefined,
  maxSimpleBytes: 250 * 1024 * 1024,
  downloadResets: { times: 0, afterBytes: 0 },
  omitsDownloadUrl: false,
  feedLagMs: 0,
  omitsDeletedContent: false,
  feedLinks: 'query',
  noFeedError: undefined,
  noDriveError: undefined,
  ignoresRanges: false,
  storedFragmentBytes: [],
  lostFragmentResponses: 0,
  acceptsFileSize: kind === 'personal'
})
