import type { Entry } from '../../core/entry.ts'
import { davEntry, type DavMetadata } from '../dav/entries.ts'
import type { DavResource } from '../dav/multistatus.ts'
import type { DavPaths } from '../dav/paths.ts'
import { asObject, textOf } from '../shared/entries.ts'

const OWNCLOUD_PROPERTIES = ['fileid', 'permissions', 'checksums']
const NEXTCLOUD_PROPERTIES = ['is-encrypted', 'share-attributes', 'mount-type', 'is-federated']
/** Further properties of a PROPFIND, which {@link nextcloudEntry} and `freshnessOf` read. */
export const EXTRA_PROPERTIES =
  OWNCLOUD_PROPERTIES.map((name) => `<o:${name} xmlns:o="http://owncloud.org/ns"/>`).join('') +
  NEXTCLOUD_PROPERTIES.map((name) => `<n:${name} xmlns:n="http://nextcloud.org/ns"/>`).join('')

/** The digests that clients send with uploads, the strongest first, with their lengths in hexadecimal digits. */
const DIGESTS = [
  ['SHA3-256', 64],
  ['SHA256', 64],
  ['SHA1', 40],
  ['MD5', 32]
] as const
const CHECKSUM = /^([A-Z0-9-]{1,16}):([0-9a-f]{8,128})$/i
/** Maximum length of a property. Servers send shorter texts. */
const MAX_PROPERTY_LENGTH = 16 * 1024

/** Converts a resource. @param folder the listed folder itself, if the server has sent it before the entry */
export function nextcloudEntry(
  { base, paths, folder }: { readonly base: URL; readonly paths: DavPaths; readonly folder: DavResource | undefined },
  id: string,
  { properties }: DavResource,
  metadata: DavMetadata
): Entry {
  const entry = davEntry(paths, id, metadata)
  const fileId = textOf(properties['fileid'])
  // Letters: G allows reading, W writing, C and K creating files and folders. An empty text grants nothing.
  const permissions = typeof properties['permissions'] === 'string' ? properties['permissions'] : null
  // ownCloud and old Nextclouds have no letter for reading.
  const canRead = permissions?.includes('G') === true ? true : null
  const canWrite = permissions === null ? null : (metadata.isCollection ? /[CK]/ : /W/).test(permissions)
  // Nextcloud marks end-to-end encrypted folders, but not the files in them, which only the user's own devices can
  // decrypt.
  const isDownloadBlocked =
    folder?.properties['is-encrypted'] === '1' || forbidsDownload(properties['share-attributes'])
  return {
    ...entry,
    hash: metadata.isCollection ? null : readHash(properties['checksums']),
    webUrl: fileId !== null && /^\d{1,20}$/.test(fileId) ? new URL(`index.php/f/${fileId}`, base).href : null,
    can: {
      list: entry.can.list === true ? canRead : false,
      download: entry.can.download === true && !isDownloadBlocked ? canRead : false,
      write: canWrite
    }
  }
}

/** Returns the strongest digest of `<o:checksum>SHA1:… MD5:… ADLER32:…</o:checksum>`. */
function readHash(checksums: unknown): Entry['hash'] {
  const text = asObject(checksums)['checksum']
  if (typeof text !== 'string' || text.length > MAX_PROPERTY_LENGTH) return null
  const values = new Map<string, string>()
  for (const checksum of text.split(' ')) {
    const [, name, value] = CHECKSUM.exec(checksum) ?? []
    if (name !== undefined && value !== undefined) values.set(name.toUpperCase(), value.toLowerCase())
  }
  for (const [name, length] of DIGESTS) {
    const value = values.get(name)
    if (value?.length === length) return { algorithm: name.toLowerCase(), value }
  }
  return null
}

/** Returns whether the share forbids downloads: `enabled` until Nextcloud 29, `value` since. */
function forbidsDownload(attributes: unknown): boolean {
  if (typeof attributes !== 'string' || attributes.length > MAX_PROPERTY_LENGTH) return false
  const parsed = parseJson(attributes)
  return (
    Array.isArray(parsed) &&
    parsed.map(asObject).some(({ scope, key, value, enabled }) => {
      return scope === 'permissions' && key === 'download' && (value ?? enabled) === false
    })
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
