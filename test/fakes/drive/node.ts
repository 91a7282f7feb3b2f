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

/** Anything with an id of its own. A test may change what is not readonly, with `FakeDriveTree.touch` afterwards. */
export interface FakeDriveNode {
  readonly id: string
  /** Of the shared drive that it stands in; undefined in My Drive and for what others share. */
  readonly driveId: string | undefined
  readonly isRoot: boolean
  readonly created: Date
  name: string
  mimeType: string
  /** Undefined for roots, and for what others share. */
  parent: string | undefined
  modified: Date
  /** By itself; what stands in a folder is in the trash together with it. */
  trashed: boolean
  version: number
  /** Changes with the content. */
  revision: number
  /** Undefined for everything but files with bytes of their own. */
  content: Buffer | undefined
  md5: string | undefined
  /** Of a native document, by the format's MIME type. */
  exports: ReadonlyMap<string, Buffer>
  shortcut: FakeDriveTarget | undefined
  flags: FakeDriveFlags
}

export interface FakeDriveTarget {
  readonly targetId: string
  readonly targetMimeType: string
  readonly targetResourceKey?: string
}

/** What a test may say about anything. */
export interface FakeDriveFlags {
  /** Instead of what the owner may do. */
  readonly capabilities?: DriveCapabilities
  /** Everything that is asked of it is 403 `insufficientFilePermissions`. */
  readonly denied?: boolean
  /** 404 without `X-Goog-Drive-Resource-Keys: id/key`. */
  readonly resourceKey?: string
  /** Somebody else's; without a parent that we see. */
  readonly sharedWithMe?: boolean
  /** Our application made it, or the user has opened it with us: what the scope `drive.file` reaches. */
  readonly openedWithApp?: boolean
  /** Refused unless the risk is acknowledged. */
  readonly abusive?: boolean
  readonly thumbnailLink?: string
  readonly webViewLink?: string
  /** Of a native document, in bytes; it is not that of its exports. */
  readonly size?: number
}

export interface NodeSeed extends FakeDriveFlags {
  readonly name: string
  /** The root of My Drive unless said otherwise. */
  readonly parent?: string | FakeDriveNode
  readonly id?: string
  readonly created?: Date
  readonly modified?: Date
  readonly trashed?: boolean
}

export interface FileSeed extends NodeSeed {
  readonly content?: string | Uint8Array
  /** `text/plain` unless said otherwise. */
  readonly mimeType?: string
}

export interface DocumentSeed extends NodeSeed {
  /** A Google Doc unless said otherwise. */
  readonly mimeType?: string
  /** What it is in each format; by itself, it has none. */
  readonly exports?: Readonly<Record<string, string | Uint8Array>>
}

export interface ShortcutSeed extends NodeSeed {
  /** May be the id of something that is gone. */
  readonly target: string | FakeDriveNode
  /** That of the target unless said otherwise; a folder's if there is none. */
  readonly targetMimeType?: string
  readonly targetResourceKey?: string
}
