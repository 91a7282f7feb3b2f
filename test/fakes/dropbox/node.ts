import type { files } from 'dropbox'

/** Anything with an id of its own. */
export interface FakeDropboxNode {
  readonly id: string
  readonly kind: 'file' | 'folder'
  /** Where it comes in listings, which have no order that means anything. */
  readonly rank: number
  name: string
  /** The id of a folder; undefined for what is a root by itself. */
  parent: string | undefined
  /** Set for what is a namespace: roots, team folders and shared folders where they are mounted. */
  namespaceId: string | undefined
  /** Undefined for folders, and for documents that can only be exported. */
  content: Buffer | undefined
  /** Of a document that can only be exported, by format. The first is the default. */
  readonly exports: ReadonlyMap<string, Buffer>
  /** Changes with the content. Empty for folders. */
  rev: string
  clientModified: Date
  serverModified: Date
  flags: FakeDropboxFlags
}

/** What a test may say about anything. */
export interface FakeDropboxFlags {
  /** Of a folder: nothing may be written in it, however deep. */
  readonly readOnly?: boolean
  /** How everything that would read the content is refused. */
  readonly refused?: Extract<
    files.LookupError['.tag'],
    'restricted_content' | 'unsupported_content_type' | 'locked' | 'other'
  >
  /** Shared with the user, and mounted nowhere: it has no path. */
  readonly unmounted?: boolean
  /** Makes a file a symlink. */
  readonly symlinkTarget?: string
  /** Shared file by file. */
  readonly hasExplicitMembers?: boolean
  /** Of a document, in bytes; it is not that of its exports. */
  readonly size?: number
}

export interface NodeSeed extends FakeDropboxFlags {
  readonly name: string
  /** The user's own root unless said otherwise. */
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
  /** What it is in each format, the default first. One in HTML unless said otherwise. */
  readonly exports?: Readonly<Record<string, string | Uint8Array>>
}
