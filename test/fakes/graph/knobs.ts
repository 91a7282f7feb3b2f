import type { CutDownloads } from '../content.ts'
import type { GraphError } from './failure.ts'
import type { GraphKind } from './node.ts'
import type { PageFault } from '../page-fault.ts'

/** Settings that a test may change while the fake runs. */
export interface FakeGraphKnobs {
  pageFault: PageFault | undefined
  /** The maximum page length, regardless of the request. */
  pageLimit: number
  /** Maximum lengths of the next pages; 0 gives an empty page with a link. Each is used once. */
  readonly shortPages: number[]
  /** Whether listings contain `@odata.count`. */
  tellsCount: boolean
  /** The storage quota of a drive. */
  quotaBytes: number | undefined
  /** The limit of an upload without a session; Microsoft's is 250 MB. */
  maxSimpleBytes: number
  /** Resets downloads after some bytes of their content. */
  cutDownloads: CutDownloads
  /** Omits the download address of items, even if all properties are requested. */
  hidesDownloadUrl: boolean
  /** The response to all `/me/drive` requests of a user without a drive. */
  noDrive: GraphError | undefined
  /** Downloads are complete, regardless of the requested range. */
  ignoresRanges: boolean
  /** Maximum bytes stored of the next fragments, in multiples of 320 KiB. Each is used once. */
  readonly keptOfFragments: number[]
  /** The number of fragments that are stored before their connection is reset instead of a response. */
  lostFragmentAnswers: number
  /** Whether sessions accept `fileSize`: Microsoft says "Only on OneDrive Personal"; business sends a 400. */
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
