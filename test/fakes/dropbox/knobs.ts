import type { auth, common } from 'dropbox'
import type { CutDownloads } from '../content.ts'
import type { PageFault } from '../page-fault.ts'

/** What a test may turn while the fake runs. */
export interface FakeDropboxKnobs {
  /** What everything may take together. */
  quotaBytes: number
  pageFault: PageFault | undefined
  /** How much longer pages are than what was asked: the limit is only approximate. */
  extraPerPage: number
  /** The same for each of the next pages, in turn: two askings of one cursor need not bring as much. */
  nextExtras: number[]
  /** Which pages of a listing have nothing on them, and are followed by others. They count from 1. */
  emptyPages: readonly number[]
  /** So many downloads are reset, each after so many bytes of its content. */
  cutDownloads: CutDownloads
  /** The next so many pieces of uploads are stored, and nobody is told. */
  losesAnswers: number
  /** The same for the end of sessions. */
  losesFinishes: number
  /** The same for uploads in one call. */
  losesUploads: number
  /** Whether a session can be finished once more: Dropbox does not say, and its own client relies on it. */
  keepsFinishedSessions: boolean
  /** Dropbox's is 150 MiB. */
  callLimitBytes: number
  /** Why a token that is not known is refused. One that was revoked is `invalid_access_token`. */
  badToken: Extract<auth.AuthError['.tag'], 'expired_access_token' | 'invalid_access_token' | 'user_suspended'>
  /** Newer teams say `user`, although the root is not the home. */
  rootTag: common.RootInfoReference['.tag']
  /** Of temporary links. */
  linkDisposition: 'attachment' | 'inline'
}

const MIB = 1024 * 1024

export const newKnobs = (isTeam: boolean): FakeDropboxKnobs => ({
  quotaBytes: 2048 * MIB,
  pageFault: undefined,
  extraPerPage: 0,
  nextExtras: [],
  emptyPages: [],
  cutDownloads: { times: 0, afterBytes: 0 },
  losesAnswers: 0,
  losesFinishes: 0,
  losesUploads: 0,
  keepsFinishedSessions: true,
  callLimitBytes: 150 * MIB,
  badToken: 'expired_access_token',
  rootTag: isTeam ? 'team' : 'user',
  linkDisposition: 'attachment'
})
