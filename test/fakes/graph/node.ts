import type { Bundle, Malware, Package, Shared, SpecialFolder } from '@microsoft/microsoft-graph-types'

/** Microsoft's two services. They differ in IDs, tags and features. */
export type GraphKind = 'personal' | 'business'

/** An item of a drive. Tests may change its writable fields, and must then call `FakeGraphTree.touch`. */
export interface FakeGraphNode {
  /** Unique within its drive only. */
  readonly id: string
  readonly driveId: string
  readonly isRoot: boolean
  /** Part of its tags. */
  readonly guid: string
  readonly created: Date
  name: string
  /** The ID of a folder in the same drive; undefined for roots and in the recycle bin. */
  parent: string | undefined
  modified: Date
  /** When the user changed it, which may be long before the upload. */
  clientModified: Date
  /** Changes with each modification. */
  version: number
  /** Changes with the content; for folders, with that of any descendant. */
  revision: number
  /** Undefined except for files. */
  content: Buffer | undefined
  mimeType: string | undefined
  /** The target of a shortcut. */
  readonly remote: FakeGraphNode | undefined
  flags: FakeGraphFlags
}

/** Test settings of an item. */
export interface FakeGraphFlags {
  /** Makes it neither a folder nor a file, whatever it contains. */
  readonly package?: Package
  /** An album, which is not a folder. Only personal accounts have albums. */
  readonly bundle?: Bundle
  readonly specialFolder?: SpecialFolder
  readonly shared?: Shared
  /** Downloads fail with 403 `malwareDetected`. */
  readonly malware?: Malware
  /** All requests for it fail with 403 `accessDenied`. */
  readonly denied?: boolean
  /** All changes fail with 423 `resourceLocked`. */
  readonly locked?: boolean
  readonly hasThumbnail?: boolean
  /** The size in listings, which is wrong for some photos and documents (onedrive-api-docs issues 492 and 1723). */
  readonly listedSize?: number
}

export interface NodeSeed extends FakeGraphFlags {
  readonly name: string
  /** The root of the user's own drive by default. */
  readonly parent?: string | FakeGraphNode
  /** May be an ID that another drive uses too. */
  readonly id?: string
  readonly created?: Date
  readonly modified?: Date
  readonly clientModified?: Date
  /** Whether it starts in the recycle bin. */
  readonly deleted?: boolean
}

export interface FileSeed extends NodeSeed {
  readonly content?: string | Uint8Array
  /** Derived from the file extension by default. */
  readonly mimeType?: string
}

export interface RemoteSeed extends NodeSeed {
  /** May be deleted before or later. */
  readonly target: FakeGraphNode
}

export interface FakeGraphSite {
  readonly id: string
  readonly name: string
  /** The parent site. */
  readonly parent: FakeGraphSite | undefined
  readonly created: Date
}

export interface SiteSeed {
  readonly name: string
  readonly parent?: FakeGraphSite
}

export interface DriveSeed {
  readonly name: string
  /** The site of the library; by default the library belongs to another person. */
  readonly site?: FakeGraphSite
}

export const isFolder = ({ content, remote, flags }: FakeGraphNode) =>
  content === undefined && remote === undefined && flags.package === undefined && flags.bundle === undefined
