import type { files } from 'dropbox'
import { contentHash } from './hash.ts'
import type { FakeDropboxNode } from './node.ts'
import type { DropboxView } from './view.ts'

/** Optional fields of listings and lookups. */
type MetadataOptions = Pick<files.GetMetadataArg, 'include_has_explicit_shared_members'>

export type Entry = files.ListFolderResult['entries'][number]

export function metadataOf(view: DropboxView, node: FakeDropboxNode, requested: MetadataOptions = {}): Entry {
  return node.kind === 'file'
    ? { '.tag': 'file', ...fileMetadata(view, node, requested) }
    : { '.tag': 'folder', ...folderMetadata(view, node) }
}

/** For responses that always describe a file. */
export function fileMetadata(
  view: DropboxView,
  node: FakeDropboxNode,
  requested: MetadataOptions = {}
): files.FileMetadata {
  const { id, name, content, exports, rev, flags } = node
  const sharing = sharingOf(view, node)
  const isDocument = content === undefined
  const [exportAs = '', ...options] = exports.keys()
  return {
    name,
    ...pathsOf(view, node),
    id,
    client_modified: secondsOf(node.clientModified),
    server_modified: secondsOf(node.serverModified),
    rev,
    size: content?.length ?? flags.size ?? 0,
    ...(flags.symlinkTarget !== undefined && { symlink_info: { target: flags.symlinkTarget } }),
    ...(sharing?.parent_shared_folder_id !== undefined && {
      sharing_info: { read_only: sharing.read_only, parent_shared_folder_id: sharing.parent_shared_folder_id }
    }),
    is_downloadable: !isDocument,
    ...(isDocument && { export_info: { export_as: exportAs, export_options: [exportAs, ...options] } }),
    ...(requested.include_has_explicit_shared_members === true && {
      has_explicit_shared_members: flags.hasExplicitMembers === true
    }),
    ...(content !== undefined && { content_hash: contentHash(content) })
  }
}

export function folderMetadata(view: DropboxView, node: FakeDropboxNode): files.FolderMetadata {
  const sharing = sharingOf(view, node)
  return {
    name: node.name,
    ...pathsOf(view, node),
    id: node.id,
    ...(sharing !== undefined && { ...sharingIds(sharing), sharing_info: sharing })
  }
}

/** Returns the metadata of a deleted name. */
export function deletedMetadata(view: DropboxView, folder: FakeDropboxNode, name: string): Entry {
  return { '.tag': 'deleted', name, ...pathOf([...(view.names(folder) ?? []), name]) }
}

/** Without fractions of a second. */
export const secondsOf = (time: Date) => time.toISOString().replace(/\.\d+Z$/, 'Z')

function pathsOf(view: DropboxView, node: FakeDropboxNode): Pick<files.Metadata, 'path_lower' | 'path_display'> {
  const names = node.flags.unmounted === true ? undefined : view.names(node)
  return names === undefined ? {} : pathOf(names)
}

function pathOf(names: readonly string[]): Required<Pick<files.Metadata, 'path_lower' | 'path_display'>> {
  const display = names.map((name) => `/${name}`).join('')
  return { path_lower: display.toLowerCase(), path_display: display }
}

/** Returns undefined for the user's own items. */
function sharingOf({ tree, base }: DropboxView, node: FakeDropboxNode): files.FolderSharingInfo | undefined {
  const isShared = (at: FakeDropboxNode) =>
    at.namespaceId !== undefined && at !== tree.root && at !== tree.teamRoot && at !== base
  let ancestor = node.parent === undefined ? undefined : tree.find(node.parent)
  let isReadOnly = node.flags.readOnly === true
  while (ancestor !== undefined && !isShared(ancestor)) {
    isReadOnly ||= ancestor.flags.readOnly === true
    ancestor = ancestor.parent === undefined ? undefined : tree.find(ancestor.parent)
  }
  if (ancestor === undefined && !isShared(node)) return undefined
  return {
    read_only: isReadOnly || ancestor?.flags.readOnly === true,
    ...(ancestor?.namespaceId !== undefined && { parent_shared_folder_id: ancestor.namespaceId }),
    ...(isShared(node) && node.namespaceId !== undefined && { shared_folder_id: node.namespaceId })
  }
}

/** Deprecated, but still sent. */
function sharingIds({ parent_shared_folder_id, shared_folder_id }: files.FolderSharingInfo) {
  return {
    ...(parent_shared_folder_id !== undefined && { parent_shared_folder_id }),
    ...(shared_folder_id !== undefined && { shared_folder_id })
  }
}
