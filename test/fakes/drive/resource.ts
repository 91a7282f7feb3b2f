import { createHash } from 'node:crypto'
import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'
import { EXPORT_FORMATS, IMPORT_FORMATS } from './formats.ts'
import { DRIVE_FOLDER, DRIVE_SHORTCUT, type DriveCapabilities, type FakeDriveNode } from './node.ts'
import type { FakeDriveTree } from './tree.ts'

/** Returns the capabilities: those of the owner, unless the test overrides them. */
export function capabilitiesOf({ mimeType, isRoot, flags }: FakeDriveNode): DriveCapabilities {
  const isFolder = mimeType === DRIVE_FOLDER
  const isOwn = flags.sharedWithMe !== true && !isRoot
  const canEdit = flags.capabilities?.canEdit ?? true
  return {
    canAddChildren: isFolder && canEdit,
    canCopy: !isFolder,
    canDelete: isOwn,
    canDownload: !isFolder,
    canEdit: true,
    canListChildren: isFolder,
    canModifyContent: !isFolder && canEdit,
    canRename: canEdit && !isRoot,
    canTrash: isOwn && canEdit,
    canUntrash: isOwn && canEdit,
    ...flags.capabilities
  }
}

/** Returns all fields of a file. The field mask is applied later. */
export function fileResource(node: FakeDriveNode, tree: FakeDriveTree): drive_v3.Schema$File {
  const { id, name, mimeType, flags, content, driveId } = node
  const isFolder = mimeType === DRIVE_FOLDER
  const isShared = flags.sharedWithMe === true
  const size = content?.length ?? (isFolder || mimeType === DRIVE_SHORTCUT ? undefined : (flags.size ?? 1024))
  return {
    kind: 'drive#file',
    id,
    // The root folder of a shared drive always has this name.
    name: node.isRoot && driveId !== undefined ? 'Drive' : name,
    mimeType,
    version: String(node.version),
    createdTime: node.created.toISOString(),
    modifiedTime: node.modified.toISOString(),
    trashed: tree.isTrashed(node),
    explicitlyTrashed: node.trashed,
    spaces: ['drive'],
    capabilities: capabilitiesOf(node),
    hasThumbnail: flags.thumbnailLink !== undefined,
    thumbnailVersion: flags.thumbnailLink === undefined ? '0' : String(node.revision),
    isAppAuthorized: flags.openedWithApp === true,
    shared: isShared || driveId !== undefined,
    webViewLink: flags.webViewLink ?? webViewLink(node),
    ...(node.parent !== undefined && { parents: [node.parent] }),
    ...(size !== undefined && { size: String(size), quotaBytesUsed: String(content?.length ?? 0) }),
    ...(content !== undefined && {
      headRevisionId: `${id.slice(0, 12)}-r${node.revision}`,
      md5Checksum: node.md5 ?? null,
      originalFilename: name,
      fileExtension: /\.(\w+)$/.exec(name)?.[1] ?? ''
    }),
    // Items in a shared drive have no owner.
    ...(driveId === undefined
      ? { ownedByMe: !isShared, owners: [isShared ? userResource('somebody', false) : userResource('me')] }
      : { driveId }),
    ...(isShared && { sharedWithMeTime: node.created.toISOString() }),
    ...(flags.resourceKey !== undefined && { resourceKey: flags.resourceKey }),
    ...(flags.thumbnailLink !== undefined && { thumbnailLink: flags.thumbnailLink }),
    ...(node.shortcut !== undefined && { shortcutDetails: node.shortcut }),
    ...(EXPORT_FORMATS[mimeType] !== undefined && { exportLinks: exportLinks(node) })
  }
}

export function driveResource({ id, name, created }: FakeDriveNode): drive_v3.Schema$Drive {
  return { kind: 'drive#drive', id, name, createdTime: created.toISOString(), hidden: false }
}

export function aboutResource(
  user: string,
  tree: FakeDriveTree,
  quotaBytes: number | undefined
): drive_v3.Schema$About {
  const usage = String(tree.usedBytes())
  return {
    kind: 'drive#about',
    user: userResource(user),
    storageQuota: {
      // Accounts without a limit lack this field.
      ...(quotaBytes !== undefined && { limit: String(quotaBytes) }),
      usage,
      usageInDrive: usage,
      usageInDriveTrash: String(tree.usedBytes((node) => tree.isTrashed(node)))
    },
    exportFormats: EXPORT_FORMATS,
    importFormats: IMPORT_FORMATS,
    maxUploadSize: '5242880000000',
    appInstalled: true,
    canCreateDrives: false
  }
}

function userResource(user: string, me = true): drive_v3.Schema$User {
  return {
    kind: 'drive#user',
    displayName: user,
    me,
    permissionId: BigInt(`0x${createHash('md5').update(user).digest('hex').slice(0, 15)}`).toString(),
    emailAddress: user.includes('@') ? user : `${user}@example.com`
  }
}

function webViewLink({ id, mimeType }: FakeDriveNode): string {
  return mimeType === DRIVE_FOLDER
    ? `https://drive.google.com/drive/folders/${id}`
    : `https://drive.google.com/file/d/${id}/view?usp=drivesdk`
}

function exportLinks({ id, mimeType }: FakeDriveNode): Record<string, string> {
  const link = (format: string) => `https://docs.google.com/export?id=${id}&format=${encodeURIComponent(format)}`
  return Object.fromEntries((EXPORT_FORMATS[mimeType] ?? []).map((format) => [format, link(format)]))
}
