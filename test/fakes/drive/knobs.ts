import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'
import type { DownloadResets } from '../content.ts'

/** Settings that a test may change while the fake runs. */
export interface FakeDriveKnobs {
  /** The user's storage quota. */
  quotaBytes: number | undefined
  /** The `incompleteSearch` of listings. */
  incompleteSearch: boolean
  /** The maximum page length, regardless of the request. */
  pageLimit: number
  /** Maximum lengths of the next pages; 0 gives an empty page with a token. Each is used once. */
  readonly shortPages: number[]
  /** The age in milliseconds at which a change appears in the logs. Google documents none: seconds to minutes. */
  changeLagMs: number
  /** Google's is 10 MB. */
  exportLimitBytes: number
  /** Resets downloads after some bytes of their content. */
  downloadResets: DownloadResets
  /** The maximum number of bytes stored of the next upload chunks; each is used once. */
  readonly storedChunkBytes: number[]
  /** The number of polls before a download operation is done. */
  pendingPolls: number
  /** The error with which download operations end, instead of an address. */
  operationError: drive_v3.Schema$Status | undefined
  /** The address in a completed operation, instead of the fake's own. */
  downloadUri: unknown
  /** Whether a completed session responds with the file again, or with 404. */
  repeatsCompletedUploads: boolean
}

export const newKnobs = (): FakeDriveKnobs => ({
  quotaBytes: undefined,
  incompleteSearch: false,
  pageLimit: Infinity,
  shortPages: [],
  changeLagMs: 0,
  exportLimitBytes: 10 * 1024 * 1024,
  downloadResets: { times: 0, afterBytes: 0 },
  storedChunkBytes: [],
  pendingPolls: 1,
  operationError: undefined,
  downloadUri: undefined,
  repeatsCompletedUploads: false
})
