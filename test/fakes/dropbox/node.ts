import type { files } from 'dropbox'

/** A node of the tree. */
export interface FakeDropboxNode {
  readonly id: string
  readonly kind: 'file' | 'folder'
  /** Its rank in listings, which have no meaningful order. */
  readonly rank: number
  name: string
  /** The ID of a folder; undefined for roots. */
  parent: string | undefined
  /** Set for namespaces: roots, team folders and mounted shared folders. */
  namespaceId: string | undefined
  /** Undefined for folders and for documents that can only be exported. */
  content: Buffer | undefined
  /** Exports of a document that can only be exported, by format. The first is the default. */
  readonly exports: ReadonlyMap<string, Buffer>
  /** Changes with the content. Empty for folders. */
  rev: string
  clientModified: Date
  serverModified: Date
  flags: FakeDropboxFlags
}

/** Test settings of a node. */
export interface FakeDropboxFlags {
  /** For folders: nothing can be written in it or in its descendants. */
  readonly readOnly?: boolean
  /** The error of all requests that would read the content. */
  readonly lookupError?: Extract<
    files.LookupError['.tag'],
    'restricted_content' | 'unsupported_content_type' | 'locked' | 'other'
  >
  /** Shared with the user but not mounted: it has no path. */
  readonly unmounted?: boolean
  /** Makes a file a symlink. */
  readonly symlinkTarget?: string
  /** Shared as a single file. */
  readonly hasExplicitMembers?: boolean
  /** The size of a document in bytes, which differs from that of its exports. */
  readonly size?: number
}

export interface NodeSeed extends FakeDropboxFlags {
  readonly name: string
  /** The user's own root by default. */
  readonly parent?: string | FakeDropboxNode
  readonly id?: string
}

export interface FolderSeed extends NodeSeed {
  /** Makes it a shared folder, mounted here. */
  readonly namespaceId?: string
}

export interface FileSeed extends NodeSeed {
  readonly content?: string | Uint8Array
  readonly clientModified?: Date
  readonly serverModified?: Date
}

export interface DocumentSeed extends NodeSeed {
  /** The content in each format, the default first. By default one in HTML. */
  readonly exports?: Readonly<Record<string, string | Uint8Array>>
}
