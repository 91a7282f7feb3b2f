import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'

const NATIVE = 'application/vnd.google-apps.'
export const DRIVE_FOLDER = `${NATIVE}folder`
export const DRIVE_SHORTCUT = `${NATIVE}shortcut`
export const DRIVE_DOCUMENT = `${NATIVE}document`
export const DRIVE_SPREADSHEET = `${NATIVE}spreadsheet`
export const DRIVE_PRESENTATION = `${NATIVE}presentation`
export const DRIVE_FORM = `${NATIVE}form`

export const DRIVE_VIDEO = `${NATIVE}vid`

export const isNative = (mimeType: string) =>
  mimeType.startsWith(NATIVE) || mimeType.startsWith('application/vnd.google-gemini.')

export type DriveCapabilities = NonNullable<drive_v3.Schema$File['capabilities']>

/** A node of the tree. Tests may change its writable fields, and must then call `FakeDriveTree.touch`. */
export interface FakeDriveNode {
  readonly id: string
  /** The shared drive that contains it; undefined in My Drive and for items shared by others. */
  readonly driveId: string | undefined
  readonly isRoot: boolean
  readonly created: Date
  name: string
  mimeType: string
  /** Undefined for roots and for items shared by others. */
  parent: string | undefined
  modified: Date
  /** Whether it was trashed itself. The contents of a trashed folder count as trashed too. */
  trashed: boolean
  version: number
  /** Changes with the content. */
  revision: number
  /** Undefined except for files with their own bytes. */
  content: Buffer | undefined
  md5: string | undefined
  /** Exports of a native document, by MIME type. */
  exports: ReadonlyMap<string, Buffer>
  shortcut: FakeDriveTarget | undefined
  flags: FakeDriveFlags
}

export interface FakeDriveTarget {
  readonly targetId: string
  readonly targetMimeType: string
  readonly targetResourceKey?: string
}

/** Test settings of a node. */
export interface FakeDriveFlags {
  /** Replaces the capabilities of the owner. */
  readonly capabilities?: DriveCapabilities
  /** All requests for it fail with 403 `insufficientFilePermissions`. */
  readonly denied?: boolean
  /** Requests without `X-Goog-Drive-Resource-Keys: id/key` fail with 404. */
  readonly resourceKey?: string
  /** Owned by another user, with no parent visible to the caller. */
  readonly sharedWithMe?: boolean
  /** Created by the application, or opened with it by the user: the condition for the scope `drive.file`. */
  readonly openedWithApp?: boolean
  /** Downloads are refused unless the risk is acknowledged. */
  readonly abusive?: boolean
  readonly thumbnailLink?: string
  readonly webViewLink?: string
  /** The size of a native document in bytes, which differs from that of its exports. */
  readonly size?: number
}

export interface NodeSeed extends FakeDriveFlags {
  readonly name: string
  /** The root of My Drive by default. */
  readonly parent?: string | FakeDriveNode
  readonly id?: string
  readonly created?: Date
  readonly modified?: Date
  readonly trashed?: boolean
}

export interface FileSeed extends NodeSeed {
  readonly content?: string | Uint8Array
  /** `text/plain` by default. */
  readonly mimeType?: string
}

export interface DocumentSeed extends NodeSeed {
  /** A Google Doc by default. */
  readonly mimeType?: string
  /** The content in each export format; none by default. */
  readonly exports?: Readonly<Record<string, string | Uint8Array>>
}

export interface ShortcutSeed extends NodeSeed {
  /** May be the ID of a deleted item. */
  readonly target: string | FakeDriveNode
  /** The type of the target by default; that of a folder if there is none. */
  readonly targetMimeType?: string
  readonly targetResourceKey?: string
}
