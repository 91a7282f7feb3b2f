import type { FileFullPermissionsField } from 'box-node-sdk/schemas/fileFull'
import type { FolderFullPermissionsField } from 'box-node-sdk/schemas/folderFull'
import type { Wire } from './wire.ts'

export type BoxType = 'file' | 'folder' | 'web_link'
export type BoxPermissions = Wire<FileFullPermissionsField> & Wire<FolderFullPermissionsField>

/** Everything begins here; it has no etag. */
export const BOX_ROOT = '0'

/**
 * Anything with an id, which is one of its type only. A test may change what is not readonly, with `FakeBoxTree.touch`
 * afterwards.
 */
export interface FakeBoxNode {
  readonly type: BoxType
  readonly id: string
  readonly created: Date
  name: string
  /** The id of a folder; undefined for the root. */
  parent: string | undefined
  modified: Date
  contentCreated: Date
  contentModified: Date
  /** By itself; what stands in a folder is in the trash together with it. */
  trashed: Date | undefined
  /** Changes with anything. */
  etag: number
  /** Files only. */
  content: Buffer | undefined
  /** Files only: it changes with the content. */
  version: BoxVersion | undefined
  /** Web links only. */
  url: string | undefined
  /** How many more times a download is told to wait. */
  notReady: number
  flags: FakeBoxFlags
}

export interface BoxVersion {
  readonly id: string
  readonly number: number
  readonly sha1: string
}

/** What a test may say about anything. */
export interface FakeBoxFlags {
  /** Instead of what the owner may do. */
  readonly permissions?: BoxPermissions
  /** Everything that is asked of it is 403 `access_denied_insufficient_permissions`. */
  readonly denied?: boolean
  /** It may be looked at, and its content is 403 `forbidden_by_policy`. */
  readonly malicious?: boolean
  /** A bundle of a Mac, which looks like a file. */
  readonly isPackage?: boolean
  /** The URL of its shared link. */
  readonly sharedLink?: string
  /** It counts in a listing, and does not come in it: Box hides what its database has and the user may not see. */
  readonly hidden?: boolean
}

export interface BoxNodeSeed extends FakeBoxFlags {
  readonly name: string
  /** The root unless said otherwise. */
  readonly parent?: string | FakeBoxNode
  readonly id?: string
  readonly created?: Date
  readonly modified?: Date
  readonly contentCreated?: Date
  readonly contentModified?: Date
}

export interface BoxFileSeed extends BoxNodeSeed {
  readonly content?: string | Uint8Array
  readonly notReady?: number
}

export interface BoxLinkSeed extends BoxNodeSeed {
  readonly url: string
}
