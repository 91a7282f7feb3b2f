import type { CutDownloads } from '../content.ts'
import type { PageFault } from '../page-fault.ts'

/** What a test may turn while the fake runs. */
export interface FakeBoxKnobs {
  /** How pages by markers go wrong. */
  pageFault: PageFault | undefined
  /** No page is longer, whatever is asked. */
  pageLimit: number
  /** What stands for the next marker where there is no other page; undefined leaves it out. */
  lastMarker: '' | null | undefined
  /** Further than this nobody comes by offsets. */
  maxOffset: number
  /** What all files of the user may take together. */
  quotaBytes: number | undefined
  /** What one file may be at most. */
  maxUploadBytes: number
  /** So many downloads are reset, each after so many bytes of its content. */
  cutDownloads: CutDownloads
  /** How many more downloads are told to wait, of any file. */
  notReady: number
  /** What an answer 202 says of when to come again, in seconds. */
  retryAfter: number
  /** An upload session takes no less. */
  minSessionBytes: number
  /** Of upload sessions that begin from now on. */
  partSize: number
  /** How many more commits are told to wait, although all parts are there. */
  assembling: number
  /** How many more commits find fewer parts than were uploaded, as Box does right after the last one. */
  partsMissed: number
  /** How many more parts are kept, and their answer is lost. */
  lostParts: number
  /** How many more commits are done, and their answer is lost. */
  lostCommits: number
  /** The reference says 409 for a part that is there already; Box's own application waits for 416. */
  overlapStatus: 409 | 416
}

export const newKnobs = (): FakeBoxKnobs => ({
  pageFault: undefined,
  pageLimit: Infinity,
  lastMarker: '',
  maxOffset: 10_000,
  quotaBytes: undefined,
  maxUploadBytes: 5 * 1024 ** 3,
  cutDownloads: { times: 0, afterBytes: 0 },
  notReady: 0,
  retryAfter: 1,
  minSessionBytes: 20_000_000,
  partSize: 8 * 1024 * 1024,
  assembling: 0,
  partsMissed: 0,
  lostParts: 0,
  lostCommits: 0,
  overlapStatus: 409
})
