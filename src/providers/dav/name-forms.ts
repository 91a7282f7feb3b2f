import type { Call } from '../../domain/storage-backend.ts'
import { find } from './precondition.ts'
import type { DavServer } from './server.ts'

/** Folders that are read in search of the form of one path. */
const MAX_FOLDERS = 20

/** How a server lists the names that it is given in one form. */
type ListedAs = 'given' | 'NFC' | 'NFD'

/**
 * The forms in which a server keeps names. Nextcloud stores names in NFC and old macOS servers in NFD, whatever form a
 * request has, and both find a file by either form. Most servers keep the form and take the two for different names.
 */
export class NameForms {
  /** By the form of the names that were given, once a listing has shown it. */
  readonly #listedAs = new Map<'composed' | 'decomposed', ListedAs>()

  /**
   * The id by which a listing shows a resource that exists.
   *
   * @param id of a resource that the server found or stored by this id
   * @returns `id` too where the listing does not tell, since a write must not fail for its name
   */
  async listed(server: DavServer, id: string, call: Call): Promise<string> {
    const other = otherForm(id)
    if (other === null) return id
    const form = id === id.normalize('NFC') ? 'composed' : 'decomposed'
    const known = this.#listedAs.get(form)
    if (known !== undefined) return known === 'given' ? id : id.normalize(known)
    try {
      if ((await find(server, server.paths.urlOf(other), call)) === null) {
        this.#listedAs.set('composed', 'given').set('decomposed', 'given')
        return id
      }
      const listed = await readListed(server, id, call)
      if (listed === null) return id
      if (listed === id) this.#listedAs.set(form, 'given')
      else if (listed === id.normalize('NFC')) this.#listedAs.set(form, 'NFC')
      else if (listed === id.normalize('NFD')) this.#listedAs.set(form, 'NFD')
      return listed
    } catch {
      return id
    }
  }
}

/** The same text in another normal form; `null` where there is none. */
function otherForm(id: string): string | null {
  const composed = id.normalize('NFC')
  if (composed !== id) return composed
  const decomposed = id.normalize('NFD')
  return decomposed === id ? null : decomposed
}

/** Takes each name of a path from the listing of its folder, the top folder first. @returns `null` where one is missing */
async function readListed(server: DavServer, id: string, call: Call): Promise<string | null> {
  const slash = id.endsWith('/') ? '/' : ''
  let listed: string | null = null
  let folders = 0
  for (const name of (slash === '' ? id : id.slice(0, -1)).split('/')) {
    const hasForms: boolean = otherForm(name) !== null
    if (hasForms && ++folders > MAX_FOLDERS) return null
    const child: string | null = hasForms ? await nameIn(server, listed, name, call) : name
    if (child === null) return null
    listed = `${listed ?? ''}${child}/`
  }
  return slash === '' && listed !== null ? listed.slice(0, -1) : listed
}

/** The name of a child as its folder lists it: the same one, where it is listed, or the same in another form. */
async function nameIn(
  server: DavServer,
  folderId: string | null,
  name: string,
  { signal }: Call
): Promise<string | null> {
  const { client, paths, propfind } = server
  const url = paths.folderUrlOf(folderId)
  const depth = folderId === null ? 1 : folderId.split('/').length
  const { resources } = await client.propfind({ url, signal, depth: 1, body: propfind }, 'FOLDER_NOT_FOUND')
  let found: string | null = null
  for await (const { href } of resources) {
    const segments = paths.segmentsOf(href)
    const child = segments?.length === depth ? (segments.at(-1) ?? null) : null
    if (child === name) return name
    if (child?.normalize('NFC') === name.normalize('NFC')) found ??= child
  }
  return found
}
