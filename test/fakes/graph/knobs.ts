import type { CutDownloads } from '../content.ts'
import type { GraphError } from './failure.ts'
import type { GraphKind } from './node.ts'
import type { PageFault } from '../page-fault.ts'

/** What a test may turn while the fake runs. */
export interface FakeGraphKnobs {
  pageFault: PageFault | undefined
  /** No page is longer, whatever is asked. */
  pageLimit: number
  /** How long the next pages are at most; 0 is an empty page with a link. Each is used once. */
  readonly shortPages: number[]
  /** Whether listings say `@odata.count`. */
  tellsCount: boolean
  /** What the files of one drive may take together. */
  quotaBytes: number | undefined
  /** Of an upload without a session; Microsoft's is 250 MB. */
  maxSimpleBytes: number
  /** So many downloads are reset, each after so many bytes of its content. */
  cutDownloads: CutDownloads
  /** Items come without the address of their content, also where all of them is asked for. */
  hidesDownloadUrl: boolean
  /** What is answered to everything that is asked of `/me/drive`: the user has none. */
  noDrive: GraphError | undefined
  /** Downloads come whole, whatever range is asked for. */
  ignoresRanges: boolean
  /** How many bytes of the next fragments are stored at most, in multiples of 320 KiB. Each is used once. */
  readonly keptOfFragments: number[]
  /** So many fragments are stored, and their connection is reset instead of an answer. */
  lostFragmentAnswers: number
  /** Whether a session may be told `fileSize`: Microsoft says "Only on OneDrive Personal", and business answers 400. */
  takesFileSize: boolean
}

export const newKnobs = (kind: GraphKind): FakeGraphKnobs => ({
  pageFault: undefined,
  pageLimit: Infinity,
  shortPages: [],
  tellsCount: false,
  quotaBytes: undefined,
  maxSimpleBytes: 250 * 1024 * 1024,
  cutDownloads: { times: 0, afterBytes: 0 },
  hidesDownloadUrl: false,
  noDrive: undefined,
  ignoresRanges: false,
  keptOfFragments: [],
  lostFragmentAnswers: 0,
  takesFileSize: kind === 'personal'
})
