import type { DownloadResets } from '../content.ts'
import type { PageFault } from '../pages.ts'

/** Settings that a test may change while the fake runs. */
export interface FakeBoxKnobs {
  /** The fault of marker-based pages. */
  pageFault: PageFault | undefined
  /** The maximum page length, regardless of the request. */
  pageLimit: number
  /** The next marker on the last page; undefined omits it. */
  lastMarker: '' | null | undefined
  /** The largest offset allowed. */
  maxOffset: number
  /** The user's storage quota. */
  quotaBytes: number | undefined
  /** The maximum size of a file. */
  maxUploadBytes: number
  /** Resets downloads after some bytes of their content. */
  downloadResets: DownloadResets
  /** The number of further downloads, of any file, that get a 202. */
  notReady: number
  /** The Retry-After of a 202, in seconds. */
  retryAfter: number
  /** The minimum file size of an upload session. */
  minSessionBytes: number
  /** The part size of new upload sessions. */
  partSize: number
  /** The number of further commits that get a 202, although all parts are stored. */
  pendingCommits: number
  /** The number of further commits that miss parts, as with Box right after the last upload. */
  incompleteCommits: number
  /** The number of further parts that are stored without a response. */
  lostParts: number
  /** The number of further commits that are performed without a response. */
  lostCommits: number
  /** The reference says 409 for an existing part; Box's own application expects 416. */
  overlapStatus: 409 | 416
}

export const newKnobs = (): FakeBoxKnobs => ({
  pageFault: undefined,
  pageLimit: Infinity,
  lastMarker: '',
  maxOffset: 10_000,
  quotaBytes: undefined,
  maxUploadBytes: 5 * 1024 ** 3,
  downloadResets: { times: 0, afterBytes: 0 },
  notReady: 0,
  retryAfter: 1,
  minSessionBytes: 20_000_000,
  partSize: 8 * 1024 * 1024,
  pendingCommits: 0,
  incompleteCommits: 0,
  lostParts: 0,
  lostCommits: 0,
  overlapStatus: 409
})
