import type { drive_v3 } from 'googleapis/build/src/apis/drive/v3.js'
import type { DriveCapabilities } from './node.ts'

/** The fields of a resource: a leaf, a field that only Google has, or an object with its own fields. */
export type Fields = 'leaf' | 'unserved' | { readonly [name: string]: Fields }

// The compiler compares the names with the official client's: none is missing, and none is invented.
type FieldsOf<T> = { readonly [K in keyof Required<T>]: Fields }

const USER = {
  displayName: 'leaf',
  emailAddress: 'leaf',
  kind: 'leaf',
  me: 'leaf',
  permissionId: 'leaf',
  photoLink: 'unserved'
} satisfies FieldsOf<drive_v3.Schema$User>

const CAPABILITIES = {
  canAcceptOwnership: 'unserved',
  canAccessViaGenAi: 'unserved',
  canAddChildren: 'leaf',
  canAddFolderFromAnotherDrive: 'unserved',
  canAddMyDriveParent: 'unserved',
  canChangeCopyRequiresWriterPermission: 'unserved',
  canChangeItemDownloadRestriction: 'unserved',
  canChangeSecurityUpdateEnabled: 'unserved',
  canChangeViewersCanCopyContent: 'unserved',
  canComment: 'unserved',
  canCopy: 'leaf',
  canDelete: 'leaf',
  canDeleteChildren: 'unserved',
  canDisableInheritedPermissions: 'unserved',
  canDownload: 'leaf',
  canEdit: 'leaf',
  canEnableInheritedPermissions: 'unserved',
  canListChildren: 'leaf',
  canModifyContent: 'leaf',
  canModifyContentRestriction: 'unserved',
  canModifyEditorContentRestriction: 'unserved',
  canModifyLabels: 'unserved',
  canModifyOwnerContentRestriction: 'unserved',
  canMoveChildrenOutOfDrive: 'unserved',
  canMoveChildrenOutOfTeamDrive: 'unserved',
  canMoveChildrenWithinDrive: 'unserved',
  canMoveChildrenWithinTeamDrive: 'unserved',
  canMoveItemIntoTeamDrive: 'unserved',
  canMoveItemOutOfDrive: 'unserved',
  canMoveItemOutOfTeamDrive: 'unserved',
  canMoveItemWithinDrive: 'unserved',
  canMoveItemWithinTeamDrive: 'unserved',
  canMoveTeamDriveItem: 'unserved',
  canReadDrive: 'unserved',
  canReadLabels: 'unserved',
  canReadRevisions: 'unserved',
  canReadTeamDrive: 'unserved',
  canRemoveChildren: 'unserved',
  canRemoveContentRestriction: 'unserved',
  canRemoveMyDriveParent: 'unserved',
  canRename: 'leaf',
  canShare: 'unserved',
  canStartApproval: 'unserved',
  canTrash: 'leaf',
  canTrashChildren: 'unserved',
  canUntrash: 'leaf'
} satisfies FieldsOf<DriveCapabilities>

export const FILE_FIELDS = {
  appProperties: 'unserved',
  capabilities: CAPABILITIES,
  clientEncryptionDetails: 'unserved',
  contentHints: 'unserved',
  contentRestrictions: 'unserved',
  copyRequiresWriterPermission: 'unserved',
  createdTime: 'leaf',
  description: 'unserved',
  downloadRestrictions: 'unserved',
  driveId: 'leaf',
  explicitlyTrashed: 'leaf',
  exportLinks: 'leaf',
  fileExtension: 'leaf',
  folderColorRgb: 'unserved',
  fullFileExtension: 'unserved',
  hasAugmentedPermissions: 'unserved',
  hasThumbnail: 'leaf',
  headRevisionId: 'leaf',
  iconLink: 'unserved',
  id: 'leaf',
  imageMediaMetadata: 'unserved',
  inheritedPermissionsDisabled: 'unserved',
  isAppAuthorized: 'leaf',
  kind: 'leaf',
  labelInfo: 'unserved',
  lastModifyingUser: 'unserved',
  linkShareMetadata: 'unserved',
  md5Checksum: 'leaf',
  mimeType: 'leaf',
  modifiedByMe: 'unserved',
  modifiedByMeTime: 'unserved',
  modifiedTime: 'leaf',
  name: 'leaf',
  originalFilename: 'leaf',
  ownedByMe: 'leaf',
  owners: USER,
  parents: 'leaf',
  permissionIds: 'unserved',
  permissions: 'unserved',
  properties: 'unserved',
  quotaBytesUsed: 'leaf',
  resourceKey: 'leaf',
  sha1Checksum: 'unserved',
  sha256Checksum: 'unserved',
  shared: 'leaf',
  sharedWithMeTime: 'leaf',
  sharingUser: 'unserved',
  shortcutDetails: { targetId: 'leaf', targetMimeType: 'leaf', targetResourceKey: 'leaf' },
  size: 'leaf',
  spaces: 'leaf',
  starred: 'unserved',
  teamDriveId: 'unserved',
  thumbnailLink: 'leaf',
  thumbnailVersion: 'leaf',
  trashed: 'leaf',
  trashedTime: 'unserved',
  trashingUser: 'unserved',
  version: 'leaf',
  videoMediaMetadata: 'unserved',
  viewedByMe: 'unserved',
  viewedByMeTime: 'unserved',
  viewersCanCopyContent: 'unserved',
  webContentLink: 'unserved',
  webViewLink: 'leaf',
  writersCanShare: 'unserved'
} satisfies FieldsOf<drive_v3.Schema$File>

export const FILE_LIST_FIELDS = {
  files: FILE_FIELDS,
  incompleteSearch: 'leaf',
  kind: 'leaf',
  nextPageToken: 'leaf'
} satisfies FieldsOf<drive_v3.Schema$FileList>

export const DRIVE_FIELDS = {
  backgroundImageFile: 'unserved',
  backgroundImageLink: 'unserved',
  capabilities: 'unserved',
  colorRgb: 'unserved',
  createdTime: 'leaf',
  hidden: 'leaf',
  id: 'leaf',
  kind: 'leaf',
  name: 'leaf',
  orgUnitId: 'unserved',
  restrictions: 'unserved',
  themeId: 'unserved'
} satisfies FieldsOf<drive_v3.Schema$Drive>

export const DRIVE_LIST_FIELDS = {
  drives: DRIVE_FIELDS,
  kind: 'leaf',
  nextPageToken: 'leaf'
} satisfies FieldsOf<drive_v3.Schema$DriveList>

export const ABOUT_FIELDS = {
  appInstalled: 'leaf',
  canCreateDrives: 'leaf',
  canCreateTeamDrives: 'unserved',
  driveThemes: 'unserved',
  exportFormats: 'leaf',
  folderColorPalette: 'unserved',
  importFormats: 'leaf',
  kind: 'leaf',
  maxImportSizes: 'unserved',
  maxUploadSize: 'leaf',
  storageQuota: { limit: 'leaf', usage: 'leaf', usageInDrive: 'leaf', usageInDriveTrash: 'leaf' },
  teamDriveThemes: 'unserved',
  user: USER
} satisfies FieldsOf<drive_v3.Schema$About>

export const GENERATED_IDS_FIELDS = {
  ids: 'leaf',
  kind: 'leaf',
  space: 'leaf'
} satisfies FieldsOf<drive_v3.Schema$GeneratedIds>

const CHANGE_FIELDS = {
  changeType: 'leaf',
  drive: DRIVE_FIELDS,
  driveId: 'leaf',
  file: FILE_FIELDS,
  fileId: 'leaf',
  kind: 'leaf',
  removed: 'leaf',
  teamDrive: 'unserved',
  teamDriveId: 'unserved',
  time: 'leaf',
  type: 'unserved'
} satisfies FieldsOf<drive_v3.Schema$Change>

export const CHANGE_LIST_FIELDS = {
  changes: CHANGE_FIELDS,
  kind: 'leaf',
  newStartPageToken: 'leaf',
  nextPageToken: 'leaf'
} satisfies FieldsOf<drive_v3.Schema$ChangeList>

export const START_PAGE_TOKEN_FIELDS = {
  kind: 'leaf',
  startPageToken: 'leaf'
} satisfies FieldsOf<drive_v3.Schema$StartPageToken>
