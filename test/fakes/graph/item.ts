import { createHash } from 'node:crypto'
import type { DriveItem, Hashes, ItemReference, RemoteItem } from '@microsoft/microsoft-graph-types'
import type { FakeGraphDrive } from './drive.ts'
import { quickXorHash } from './hash.ts'
import { isFolder, type FakeGraphNode, type GraphKind } from './node.ts'
import { dateTimeOf, identityOf, webUrlOf } from './resource.ts'
import type { DOWNLOAD_URL, GraphSelect } from './select.ts'
import { cTagOf, eTagOf } from './tags.ts'
import type { FakeGraphTree } from './tree.ts'

interface ItemContext {
  readonly node: FakeGraphNode
  readonly drive: FakeGraphDrive
  readonly tree: FakeGraphTree
}

/** The official types omit names that begin with an at sign. */
export type GraphItem = DriveItem & { readonly [DOWNLOAD_URL]?: string }

type PropertyReaders = { readonly [K in keyof DriveItem]?: (context: ItemContext) => DriveItem[K] }

const hashes = new WeakMap<Buffer, Hashes>()

/** Computes each property; undefined if the item lacks it. */
const PROPERTY_READERS: PropertyReaders = {
  id: ({ node }) => node.id,
  name: ({ node }) => node.name,
  size: ({ node, drive }) => (node.remote === undefined ? listedSizeOf(node, drive) : undefined),
  eTag: ({ node, drive }) => eTagOf(node, drive.kind),
  cTag: ({ node, drive }) => cTagOf(node, drive.kind),
  createdDateTime: ({ node, drive }) => dateTimeOf(node.created, drive.kind),
  lastModifiedDateTime: ({ node, drive }) => dateTimeOf(node.modified, drive.kind),
  createdBy: ({ drive }) => identityOf(drive.owner ?? 'somebody', drive.kind),
  lastModifiedBy: ({ drive }) => identityOf(drive.owner ?? 'somebody', drive.kind),
  fileSystemInfo: ({ node, drive }) => ({
    createdDateTime: dateTimeOf(node.created, drive.kind),
    lastModifiedDateTime: dateTimeOf(node.clientModified, drive.kind)
  }),
  webUrl: ({ node, drive }) => webUrlOf(drive, node.isRoot ? [] : [...drive.folderNamesOf(node), node.name]),
  parentReference: parentReferenceOf,
  root: ({ node }) => (node.isRoot ? {} : undefined),
  file: ({ node, drive }) => fileOf(node, drive.kind),
  folder: ({ node, drive }) => (isFolder(node) ? { childCount: drive.children(node).size } : undefined),
  package: ({ node }) => node.flags.package,
  bundle: ({ node }) => node.flags.bundle,
  specialFolder: ({ node }) => node.flags.specialFolder,
  shared: ({ node }) => node.flags.shared,
  malware: ({ node }) => node.flags.malware,
  remoteItem: ({ node, tree }) => node.remote && remoteItemOf(node.remote, tree)
}

/** Returns the requested properties of an item. Download addresses and thumbnails are added elsewhere. */
export function itemResource(node: FakeGraphNode, tree: FakeGraphTree, select: GraphSelect): DriveItem {
  const context = { node, drive: tree.driveOf(node), tree }
  const item: Record<string, unknown> = {}
  for (const [name, read] of Object.entries(PROPERTY_READERS)) {
    const value = select.has(name) ? read(context) : undefined
    if (value !== undefined) item[name] = value
  }
  return item
}

function listedSizeOf(node: FakeGraphNode, drive: FakeGraphDrive): number {
  return node.flags.listedSize ?? drive.sizeOf(node)
}

function parentReferenceOf({ node, drive }: ItemContext): ItemReference {
  const { id: driveId, driveType } = drive
  const parent = drive.parentOf(node)
  // For a root, this ID is not one of an item that can be requested.
  if (parent === undefined) return { driveId, driveType, id: node.guid, path: '/drive/root:' }
  const folders = drive.folderNamesOf(node).map((name) => `/${encodeURIComponent(name)}`)
  return {
    driveId,
    driveType,
    id: parent.id,
    name: parent.name,
    path: `/drives/${driveId}/root:${folders.join('')}`,
    ...(drive.site !== undefined && { siteId: drive.site.id })
  }
}

/** Describes the location of the target, and no properties seen through the shortcut. */
function remoteItemOf(target: FakeGraphNode, tree: FakeGraphTree): RemoteItem {
  const drive = tree.driveOf(target)
  const { id: driveId, driveType, kind } = drive
  const file = fileOf(target, kind)
  return {
    id: target.id,
    name: target.name,
    size: listedSizeOf(target, drive),
    createdDateTime: dateTimeOf(target.created, kind),
    lastModifiedDateTime: dateTimeOf(target.modified, kind),
    webUrl: webUrlOf(drive, [...drive.folderNamesOf(target), target.name]),
    parentReference: { driveId, driveType },
    ...(file !== undefined && { file }),
    ...(isFolder(target) && { folder: { childCount: drive.children(target).size } }),
    ...(target.flags.package !== undefined && { package: target.flags.package })
  }
}

function fileOf({ content, mimeType = 'application/octet-stream' }: FakeGraphNode, kind: GraphKind): DriveItem['file'] {
  if (content === undefined) return undefined
  const fileHashes = hashes.get(content) ?? { quickXorHash: quickXorHash(content), ...sha1HashOf(content, kind) }
  hashes.set(content, fileHashes)
  return { mimeType, hashes: fileHashes }
}

/** Business accounts have none. */
function sha1HashOf(content: Buffer, kind: GraphKind): Hashes {
  return kind === 'business' ? {} : { sha1Hash: createHash('sha1').update(content).digest('hex').toUpperCase() }
}
