import type { Call } from '../../core/backend.ts'
import { type DavSession, findResource } from './session.ts'

/** Maximum folders that are read to find the form of one path. */
const MAX_FOLDERS = 20

/** The listed form of names that a server receives in one form. */
type ListedForm = 'given' | 'NFC' | 'NFD'

/**
 * The Unicode normal forms in which a server stores names. Nextcloud uses NFC and old macOS servers use NFD for any
 * request, and both find a file by either form. Most servers preserve the form and treat the two as different names.
 */
export class NameForms {
  /** Indexed by the form of the requested names, once a listing has shown the result. */
  readonly #listedForms = new Map<'composed' | 'decomposed', ListedForm>()

  /**
   * Returns the id with which a listing shows an existing resource.
   *
   * @param id the id by which the server found or stored the resource
   * @returns `id` as well if the form cannot be determined, since a write must not fail because of it
   */
  async findListedId(session: DavSession, id: string, call: Call): Promise<string> {
    const other = otherForm(id)
    if (other === null) return id
    const form = id === id.normalize('NFC') ? 'composed' : 'decomposed'
    const knownForm = this.#listedForms.get(form)
    if (knownForm !== undefined) return knownForm === 'given' ? id : id.normalize(knownForm)
    try {
      if ((await findResource(session, session.paths.urlOf(other), call)) === null) {
        this.#listedForms.set('composed', 'given').set('decomposed', 'given')
        return id
      }
      const listedId = await readListedId(session, id, call)
      if (listedId === null) return id
      if (listedId === id) this.#listedForms.set(form, 'given')
      else if (listedId === id.normalize('NFC')) this.#listedForms.set(form, 'NFC')
      else if (listedId === id.normalize('NFD')) this.#listedForms.set(form, 'NFD')
      return listedId
    } catch {
      return id
    }
  }
}

/** Returns the text in another normal form; `null` if there is none. */
function otherForm(id: string): string | null {
  const composed = id.normalize('NFC')
  if (composed !== id) return composed
  const decomposed = id.normalize('NFD')
  return decomposed === id ? null : decomposed
}

/** Looks up each name of a path in the listing of its folder, from the top. @returns `null` if one is missing */
async function readListedId(session: DavSession, id: string, call: Call): Promise<string | null> {
  const slash = id.endsWith('/') ? '/' : ''
  let listed: string | null = null
  let folders = 0
  for (const name of (slash === '' ? id : id.slice(0, -1)).split('/')) {
    const hasOtherForm: boolean = otherForm(name) !== null
    if (hasOtherForm && ++folders > MAX_FOLDERS) return null
    const child: string | null = hasOtherForm ? await findListedName(session, listed, name, call) : name
    if (child === null) return null
    listed = `${listed ?? ''}${child}/`
  }
  return slash === '' && listed !== null ? listed.slice(0, -1) : listed
}

/** Returns a child's name as its folder lists it: unchanged if listed so, otherwise in another normal form. */
async function findListedName(
  session: DavSession,
  folderId: string | null,
  name: string,
  { signal }: Call
): Promise<string | null> {
  const { client, paths, propfind } = session
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
