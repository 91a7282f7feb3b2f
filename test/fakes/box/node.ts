import type { FileFullPermissionsField } from 'box-node-sdk/schemas/fileFull'
import type { FolderFullPermissionsField } from 'box-node-sdk/schemas/folderFull'
import type { Wire } from './wire.ts'

export type BoxType = 'file' | 'folder' | 'web_link'
export type BoxPermissions = Wire<FileFullPermissionsField> & Wire<FolderFullPermissionsField>

/** The root folder; it has no etag. */
export const BOX_ROOT = '0'

/**
 * An item. Its ID is unique within its type only. Tests may change its writable fields, and must then call
 * `FakeBoxTree.touch`.
 */
export interface FakeBoxNode {
  readonly type: BoxType
  readonly id: string
  readonly created: Date
  name: string
  /** The ID of a folder; undefined for the root. */
  parent: string | undefined
  modified: Date
  contentCreated: Date
  contentModified: Date
  /** Set if it was trashed itself. The contents of a trashed folder count as trashed too. */
  trashed: Date | undefined
  /** Changes with each modification. */
  etag: number
  /** Files only. */
  content: Buffer | undefined
  /** Files only; changes with the content. */
  version: BoxVersion | undefined
  /** Web links only. */
  url: string | undefined
  /** The number of further downloads that get a 202. */
  notReady: number
  flags: FakeBoxFlags
}

export interface BoxVersion {
  readonly id: string
  readonly number: number
  readonly sha1: string
}

/** Test settings of an item. */
export interface FakeBoxFlags {
  /** Replaces the permissions of the owner. */
  readonly permissions?: BoxPermissions
  /** All requests for it fail with 403 `access_denied_insufficient_permissions`. */
  readonly denied?: boolean
  /** Its metadata is readable, but its content fails with 403 `forbidden_by_policy`. */
  readonly malicious?: boolean
  /** A macOS bundle, which looks like a file. */
  readonly isPackage?: boolean
  /** The URL of its shared link. */
  readonly sharedLink?: string
  /** Listings count it but omit it: Box hides items that exist in its database but that the user may not see. */
  readonly hidden?: boolean
}

export interface BoxNodeSeed extends FakeBoxFlags {
  readonly name: string
  /** The root by default. */
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
