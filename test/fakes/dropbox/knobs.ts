import type { auth, common } from 'dropbox'
import type { DownloadResets } from '../content.ts'
import type { PageFault } from '../pages.ts'

/** Settings that a test may change while the fake runs. */
export interface FakeDropboxKnobs {
  /** The storage quota. */
  quotaBytes: number
  pageFault: PageFault | undefined
  /** How many entries pages have beyond the requested limit, which is only approximate. */
  extraPerPage: number
  /** The same for each of the next pages in turn: repeating a cursor may return another number of entries. */
  extraOnNextPages: number[]
  /** The numbers of empty pages that are followed by others, counting from 1. */
  emptyPages: readonly number[]
  /** How long a change stays unreported to cursors. Listings show it at once. */
  changeLagMs: number
  /** Cursors that have not been used for longer than this are reset. */
  cursorLifetimeMs: number
  /** When a long poll without changes ends, at the latest. */
  longpollMs: number
  /** The seconds that a client must wait after a long poll. */
  longpollBackoff: number | undefined
  /** The error of cursors whose folder was moved or renamed with its ancestors. Dropbox does not document it. */
  movedFolderError: 'not_found' | 'reset' | undefined
  /** Resets downloads after some bytes of their content. */
  downloadResets: DownloadResets
  /** The number of upload pieces that are stored without a response. */
  lostAppendResponses: number
  /** The same for the end of sessions. */
  lostFinishResponses: number
  /** The same for uploads in one call. */
  lostUploadResponses: number
  /** Whether a session can be finished again: Dropbox does not document it, and its own client relies on it. */
  keepsFinishedSessions: boolean
  /** Dropbox's is 150 MiB. */
  callLimitBytes: number
  /** The error for an unknown token. That for a revoked one is `invalid_access_token`. */
  invalidTokenError: Extract<auth.AuthError['.tag'], 'expired_access_token' | 'invalid_access_token' | 'user_suspended'>
  /** Newer teams have `user`, although the root is not the home namespace. */
  rootTag: common.RootInfoReference['.tag']
  /** The disposition of temporary links. */
  linkDisposition: 'attachment' | 'inline'
}

const MIB = 1024 * 1024

export const newKnobs = (isTeam: boolean): FakeDropboxKnobs => ({
  quotaBytes: 2048 * MIB,
  pageFault: undefined,
  extraPerPage: 0,
  extraOnNextPages: [],
  emptyPages: [],
  changeLagMs: 0,
  cursorLifetimeMs: Infinity,
  longpollMs: Infinity,
  longpollBackoff: undefined,
  movedFolderError: undefined,
  downloadResets: { times: 0, afterBytes: 0 },
  lostAppendResponses: 0,
  lostFinishResponses: 0,
  lostUploadResponses: 0,
  keepsFinishedSessions: true,
  callLimitBytes: 150 * MIB,
  invalidTokenError: 'expired_access_token',
  rootTag: isTeam ? 'team' : 'user',
  linkDisposition: 'attachment'
})
