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
  /** How long an event stays out of the stream. Listings show its change at once. */
  eventLagMs: number
  /** Older events are omitted, without an error. */
  eventLifetimeMs: number
  /** The maximum number of new events on a page, regardless of the request: more may follow a short page. */
  eventPageLimit: number
  /** How many of the previous events a page repeats. */
  repeatedEvents: number
  /** Whether the end of the stream repeats the last page of events for ever, with new positions. */
  repeatsLastEvents: boolean
  /** When a long poll without events ends with `reconnect`. */
  longPollMs: number
  /** The `max_retries` of long polls. Box documents a number and a text. */
  maxRetries: number | string
  /** Replaces the URL of long polls. */
  longPollUrl: unknown
  /** The form of the items of events. Box documents both. */
  eventSource: 'item' | 'event-source'
  /** The JSON type of positions. Box documents both. */
  positionType: 'number' | 'string'
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
  eventLagMs: 0,
  eventLifetimeMs: Infinity,
  eventPageLimit: Infinity,
  repeatedEvents: 0,
  repeatsLastEvents: false,
  longPollMs: 600_000,
  maxRetries: '10',
  longPollUrl: undefined,
  eventSource: 'item',
  positionType: 'number',
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
