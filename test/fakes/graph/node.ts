import type { Bundle, Malware, Package, Shared, SpecialFolder } from '@microsoft/microsoft-graph-types'

/** Which of Microsoft's two services stands behind: they differ in ids, tags and in what they know. */
export type GraphKind = 'personal' | 'business'

/** Anything in a drive. A test may change what is not readonly, with `FakeGraphTree.touch` afterwards. */
export interface FakeGraphNode {
  /** Unique in its drive only. */
  readonly id: string
  readonly driveId: string
  readonly isRoot: boolean
  /** What its tags are made of. */
  readonly guid: string
  readonly created: Date
  name: string
  /** The id of a folder in the same drive; undefined for roots, and for what is in the recycle bin. */
  parent: string | undefined
  modified: Date
  /** When the user changed it, which may be long before it was uploaded. */
  clientModified: Date
  /** Changes with everything. */
  version: number
  /** Changes with the content, for folders with that of anything below. */
  revision: number
  /** Undefined for everything but files. */
  content: Buffer | undefined
  mimeType: string | undefined
  /** What a shortcut stands for. */
  readonly remote: FakeGraphNode | undefined
  flags: FakeGraphFlags
}

/** What a test may say about anything. */
export interface FakeGraphFlags {
  /** It is none of folder and file then, whatever it has inside. */
  readonly package?: Package
  /** An album, which is no folder. Only personal accounts have any. */
  readonly bundle?: Bundle
  readonly specialFolder?: SpecialFolder
  readonly shared?: Shared
  /** Downloads are 403 `malwareDetected`. */
  readonly malware?: Malware
  /** Everything that is asked of it is 403 `accessDenied`. */
  readonly denied?: boolean
  /** Every change is 423 `resourceLocked`. */
  readonly locked?: boolean
  readonly hasThumbnail?: boolean
  /** What items tell instead of the true size, as of some photos and documents (onedrive-api-docs issues 492 and 1723). */
  readonly listedSize?: number
}

export interface NodeSeed extends FakeGraphFlags {
  readonly name: string
  /** The root of the user's own drive unless said otherwise. */
  readonly parent?: string | FakeGraphNode
  /** May be one that another drive has too. */
  readonly id?: string
  readonly created?: Date
  readonly modified?: Date
  readonly clientModified?: Date
  /** It is in the recycle bin from the beginning. */
  readonly deleted?: boolean
}

export interface FileSeed extends NodeSeed {
  readonly content?: string | Uint8Array
  /** That of the name's extension unless said otherwise. */
  readonly mimeType?: string
}

export interface RemoteSeed extends NodeSeed {
  /** May be gone, or may go. */
  readonly target: FakeGraphNode
}

export interface FakeGraphSite {
  readonly id: string
  readonly name: string
  /** The site that it is below. */
  readonly parent: FakeGraphSite | undefined
  readonly created: Date
}

export interface SiteSeed {
  readonly name: string
  readonly parent?: FakeGraphSite
}

export interface DriveSeed {
  readonly name: string
  /** Whose library it is; that of another person unless said otherwise. */
  readonly site?: FakeGraphSite
}

export const isFolder = ({ content, remote, flags }: FakeGraphNode) =>
  content === undefined && remote === undefined && flags.package === undefined && flags.bundle === undefined
