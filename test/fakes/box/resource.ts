import type { FileFull } from 'box-node-sdk/schemas/fileFull'
import type { FileMini } from 'box-node-sdk/schemas/fileMini'
import type { FileVersionMini } from 'box-node-sdk/schemas/fileVersionMini'
import type { FolderFull } from 'box-node-sdk/schemas/folderFull'
import type { FolderMini } from 'box-node-sdk/schemas/folderMini'
import type { UserFull } from 'box-node-sdk/schemas/userFull'
import type { UserMini } from 'box-node-sdk/schemas/userMini'
import type { WebLink } from 'box-node-sdk/schemas/webLink'
import { BOX_ROOT, type BoxPermissions, type BoxType, type FakeBoxNode } from './node.ts'
import type { FakeBoxTree } from './tree.ts'
import type { Wire } from './wire.ts'

export interface BoxPerson extends Wire<UserMini> {
  readonly id: string
}

/** An item and its tree. */
interface ItemContext {
  readonly node: FakeBoxNode
  readonly tree: FakeBoxTree
  readonly owner: BoxPerson
}

/** Computes each field of a type. */
type FieldReaders<T> = { readonly [K in keyof T]?: (context: ItemContext) => T[K] }

const UTC_OFFSET_HOURS = 8

/** Formats a time like Box: in seconds, with an offset. */
export function boxTime(date: Date): string {
  const local = new Date(date.getTime() - UTC_OFFSET_HOURS * 60 * 60 * 1000)
  return `${local.toISOString().slice(0, 19)}-0${UTC_OFFSET_HOURS}:00`
}

const ALLOWED_PERMISSIONS = {
  ...{ can_download: true, can_upload: true, can_rename: true, can_delete: true, can_share: true },
  ...{ can_invite_collaborator: true, can_set_share_access: true, can_apply_watermark: false }
}
const ALLOWED_FILE_PERMISSIONS = {
  ...ALLOWED_PERMISSIONS,
  ...{ can_preview: true, can_comment: true, can_annotate: true },
  ...{ can_view_annotations_all: true, can_view_annotations_self: true }
}
const FORBIDDEN_ROOT_PERMISSIONS = {
  ...{ can_rename: false, can_delete: false, can_share: false },
  ...{ can_invite_collaborator: false, can_set_share_access: false }
}

/** Returns the permissions: those of the owner, unless the test overrides them. */
export function permissionsOf(node: FakeBoxNode): BoxPermissions {
  const defaults = node.type === 'file' ? ALLOWED_FILE_PERMISSIONS : ALLOWED_PERMISSIONS
  const { permissions } = node.flags
  return { ...defaults, ...(isRoot(node) && FORBIDDEN_ROOT_PERMISSIONS), ...permissions }
}

/** Returns the identifying fields of an item, for example for an error. */
export function miniResource(node: FakeBoxNode): Wire<FileMini> {
  const etag = etagOf(node)
  const { type, id, name, version } = node
  return {
    ...{ type: type as 'file', id, etag, sequence_id: etag, name },
    ...(version !== undefined && { sha1: version.sha1, file_version: versionOf(node) })
  }
}

/** Returns the requested fields of a file, a folder or a web link. */
export function itemResource(
  node: FakeBoxNode,
  tree: FakeBoxTree,
  owner: BoxPerson,
  names: ReadonlySet<string>
): Record<string, unknown> {
  const readers = FIELD_READERS[node.type]
  const context = { node, tree, owner }
  const item: Record<string, unknown> = {}
  for (const name of names) {
    const value = readers[name]?.(context)
    if (value !== undefined) item[name] = value
  }
  return item
}

export function userResource(
  person: BoxPerson,
  space: { readonly amount: number; readonly used: number; readonly maxUpload: number },
  created: Date
): Wire<UserFull> {
  return {
    ...person,
    created_at: boxTime(created),
    modified_at: boxTime(created),
    language: 'en',
    timezone: 'America/Los_Angeles',
    space_amount: space.amount,
    space_used: space.used,
    max_upload_size: space.maxUpload,
    status: 'active',
    job_title: '',
    phone: '',
    address: '',
    avatar_url: `https://app.box.com/api/avatar/large/${person.id}`,
    notification_email: null,
    role: 'user',
    enterprise: null,
    hostname: 'https://app.box.com/'
  }
}

/** The root has neither etag nor times. */
const isRoot = ({ id, type }: FakeBoxNode) => id === BOX_ROOT && type === 'folder'
const etagOf = (node: FakeBoxNode) => (isRoot(node) ? null : String(node.etag))
const timeOf = (node: FakeBoxNode, date = node.trashed) => (isRoot(node) || date === undefined ? null : boxTime(date))

function versionOf({ version }: FakeBoxNode): Wire<FileVersionMini> | null {
  return version === undefined ? null : { type: 'file_version', id: version.id, sha1: version.sha1 }
}

function pathOf({ node, tree }: ItemContext): Wire<FolderMini>[] {
  return tree.path(node).map((folder) => miniResource(folder) as Wire<FolderMini>)
}

const COMMON_FIELDS = {
  id: ({ node }) => node.id,
  etag: ({ node }) => etagOf(node),
  sequence_id: ({ node }) => etagOf(node),
  name: ({ node }) => node.name,
  description: () => '',
  path_collection: (context) => ({ total_count: pathOf(context).length, entries: pathOf(context) }),
  created_at: ({ node }) => timeOf(node, node.created),
  modified_at: ({ node }) => timeOf(node, node.modified),
  content_created_at: ({ node }) => timeOf(node, node.contentCreated),
  content_modified_at: ({ node }) => timeOf(node, node.contentModified),
  trashed_at: ({ node }) => timeOf(node),
  purged_at: () => null,
  created_by: ({ owner }) => owner,
  modified_by: ({ owner }) => owner,
  owned_by: ({ owner }) => owner,
  shared_link: ({ node }) => sharedLink(node),
  parent: ({ node, tree }) =>
    node.parent === undefined ? null : (miniResource(tree.get(node.parent, 'folder')) as Wire<FolderMini>),
  item_status: ({ node, tree }) => (tree.isTrashed(node) ? 'trashed' : 'active'),
  has_collaborations: () => false,
  permissions: ({ node }) => permissionsOf(node)
} satisfies FieldReaders<Wire<FolderFull>>

const FILE_FIELDS: FieldReaders<Wire<FileFull>> = {
  type: () => 'file',
  sha1: ({ node }) => node.version?.sha1 ?? null,
  file_version: ({ node }) => versionOf(node),
  size: ({ node }) => node.content?.length ?? 0,
  extension: ({ node }) => /\.([^.]+)$/.exec(node.name)?.[1] ?? '',
  is_package: ({ node }) => node.flags.isPackage === true,
  version_number: ({ node }) => String(node.version?.number ?? 1)
}

const FOLDER_FIELDS: FieldReaders<Wire<FolderFull>> = {
  type: () => 'folder',
  size: ({ node, tree }) => totalSize(node, tree),
  sync_state: () => 'not_synced',
  folder_upload_email: () => null
}

const LINK_FIELDS: FieldReaders<Wire<WebLink>> = { type: () => 'web_link', url: ({ node }) => node.url ?? null }

const FIELD_READERS: Readonly<
  Record<BoxType, Readonly<Record<string, ((context: ItemContext) => unknown) | undefined>>>
> = {
  file: { ...COMMON_FIELDS, ...FILE_FIELDS },
  folder: { ...COMMON_FIELDS, ...FOLDER_FIELDS },
  web_link: { ...COMMON_FIELDS, ...LINK_FIELDS }
}

/** The size of a folder is that of all its descendants. */
function totalSize(node: FakeBoxNode, tree: FakeBoxTree): number {
  if (node.type !== 'folder') return node.content?.length ?? 0
  return tree.children(node).reduce((sum, child) => sum + totalSize(child, tree), 0)
}

function sharedLink({ flags, type }: FakeBoxNode): Wire<FolderFull>['shared_link'] {
  if (flags.sharedLink === undefined) return null
  return {
    url: flags.sharedLink,
    download_url: type === 'file' ? `${flags.sharedLink}/download` : null,
    vanity_url: null,
    vanity_name: null,
    access: 'open',
    effective_access: 'open',
    effective_permission: 'can_download',
    unshared_at: null,
    is_password_enabled: false,
    permissions: { can_download: true, can_preview: true, can_edit: false },
    download_count: 0,
    preview_count: 0
  }
}
