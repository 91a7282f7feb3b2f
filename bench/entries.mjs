// The folders of the benchmark: the same for all servers and in every run, shaped like listings of Google Drive. A
// folder's id contains its number of entries: `f200-17` has 200. Folders of one size share their entries, so that a
// thousand of them take no more memory than one in the process that acts as the provider. Names contain only Latin-1:
// with a single other character, V8 stores the whole JSON in two bytes per character, and a server that makes it for
// each response takes five to seven times as long (Node 20), which would flatter the plugin.
import { random } from './statistics.mjs'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const WORDS = ['Invoice', 'Minutes', 'Contract', 'Größen', 'Offer', 'Photo', 'Übersicht', 'Draft', 'Plan', 'Report']
const PLACES = ['Berlin', 'Köln', 'São Paulo', 'Oslo', 'Tokyo', 'Lyon', 'Kraków', 'Bath']
const KINDS = [
  { extension: 'pdf', mimeType: 'application/pdf' },
  { extension: 'jpg', mimeType: 'image/jpeg' },
  { extension: 'txt', mimeType: 'text/plain' },
  { extension: 'docx', mimeType: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document' },
  { extension: 'xlsx', mimeType: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet' }
]
const FOLDER = 'application/vnd.google-apps.folder'
const EPOCH = Date.parse('2024-01-01T00:00:00Z')
const TWO_YEARS_MS = 2 * 365 * 24 * 3600 * 1000

const itemsBySize = new Map()
const entriesBySize = new Map()

/**
 * Acts as the provider's API, which responds at once.
 *
 * @param account read from the credentials
 * @returns the folder and its items, which callers must not change
 */
export async function fetchFolder(account, folderId) {
  if (!account.startsWith('user-')) throw new Error('the provider does not know the account')
  return { folder: folderOf(folderId), items: itemsOf(folderId) }
}

/** Converts an item of the provider's API to an entry. */
export function toEntry(item) {
  const isFolder = item.mimeType === FOLDER
  const { canListChildren, canDownload, canEdit } = item.capabilities
  return {
    id: item.id,
    parentId: item.parents[0],
    driveId: null,
    name: item.name,
    kind: isFolder ? 'folder' : 'file',
    mimeType: item.mimeType,
    size: item.size === undefined ? null : Number(item.size),
    createdAt: item.createdTime,
    modifiedAt: item.modifiedTime,
    version: item.version,
    hash: item.sha256Checksum === undefined ? null : { algorithm: 'sha256', value: item.sha256Checksum },
    exportFormats: [],
    target: null,
    webUrl: item.webViewLink,
    thumbnailUrl: null,
    path: null,
    can: { list: canListChildren, download: canDownload, write: canEdit }
  }
}

/** Returns the response of servers other than the plugin, in the shape of the plugin's. */
export function listingOf(folderId) {
  return {
    provider: 'bench',
    connectionId: '5f0c4f1e-8f5a-4a0e-9d3c-0d8a7f6b1c2d',
    folder: folderOf(folderId),
    entries: cached(entriesBySize, folderId, () => itemsOf(folderId).map(toEntry)),
    page: { next: null, complete: true, reason: null, order: 'folder-then-name' }
  }
}

function folderOf(folderId) {
  return { id: folderId, name: 'Documents', parentId: null }
}

function itemsOf(folderId) {
  return cached(itemsBySize, folderId, (size) => {
    const draw = random(size + 1)
    const parentId = idFrom(draw)
    return Array.from({ length: size }, (_, index) => itemFrom(draw, index, parentId))
  })
}

function cached(bySize, folderId, make) {
  const size = sizeOf(folderId)
  let found = bySize.get(size)
  if (found === undefined) {
    found = make(size)
    bySize.set(size, found)
  }
  return found
}

function sizeOf(folderId) {
  const [, digits] = /^f(\d+)-/.exec(folderId) ?? []
  if (digits === undefined) throw new Error(`the benchmark has no folder ${folderId}`)
  return Number(digits)
}

const pick = (draw, values) => values[Math.floor(draw() * values.length)]
const textFrom = (draw, length, alphabet) => Array.from({ length }, () => pick(draw, alphabet)).join('')
/** Google's ids have 33 characters. */
const idFrom = (draw) => `1${textFrom(draw, 32, ALPHABET)}`

function itemFrom(draw, index, parentId) {
  const id = idFrom(draw)
  const isFolder = index % 8 === 0
  const { extension, mimeType } = pick(draw, KINDS)
  const title = `${pick(draw, WORDS)} ${pick(draw, PLACES)} ${index + 1}`
  const createdAt = EPOCH + Math.floor(draw() * TWO_YEARS_MS)
  const modifiedAt = createdAt + Math.floor(draw() * TWO_YEARS_MS)
  return {
    id,
    parents: [parentId],
    name: isFolder ? title : `${title}.${extension}`,
    mimeType: isFolder ? FOLDER : mimeType,
    ...(!isFolder && { size: String(Math.floor(10 ** (3 + draw() * 5))) }),
    createdTime: new Date(createdAt).toISOString(),
    modifiedTime: new Date(modifiedAt).toISOString(),
    version: String(1 + Math.floor(draw() * 500)),
    ...(!isFolder && { sha256Checksum: textFrom(draw, 64, '0123456789abcdef') }),
    webViewLink: isFolder
      ? `https://drive.google.com/drive/folders/${id}`
      : `https://drive.google.com/file/d/${id}/view`,
    capabilities: { canListChildren: isFolder, canDownload: !isFolder, canEdit: draw() < 0.7 }
  }
}
