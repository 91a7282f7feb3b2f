import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'
import type { CutDownloads } from '../content.ts'

/** What a test may turn while the fake runs. */
export interface FakeDriveKnobs {
  /** What all files of the user may take together. */
  quotaBytes: number | undefined
  /** What listings say of themselves. */
  incompleteSearch: boolean
  /** Google's is 10 MB. */
  exportLimitBytes: number
  /** So many downloads are reset, each after so many bytes of its content. */
  cutDownloads: CutDownloads
  /** How much the next chunks of uploads leave stored at most; each is used once. */
  readonly keptOfChunks: number[]
  /** How often an operation of a download is asked for before it is done. */
  pendingPolls: number
  /** What operations of downloads end with, instead of an address. */
  operationError: drive_v3.Schema$Status | undefined
  /** The address that a completed operation tells, instead of the fake's own. */
  downloadUri: unknown
  /** Whether a session that is complete answers once more with the file, or 404. */
  remembersUploads: boolean
}

export const newKnobs = (): FakeDriveKnobs => ({
  quotaBytes: undefined,
  incompleteSearch: false,
  exportLimitBytes: 10 * 1024 * 1024,
  cutDownloads: { times: 0, afterBytes: 0 },
  keptOfChunks: [],
  pendingPolls: 1,
  operationError: undefined,
  downloadUri: undefined,
  remembersUploads: false
})
