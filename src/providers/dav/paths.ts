import { failure } from '../shared/errors.ts'
import { invalidId, invalidName, isSegment, isUnambiguous } from '../shared/names.ts'

/** Above the limits of the file systems behind such servers, in bytes of UTF-8. */
const MAX_ID_BYTES = 4096

/**
 * Converts between ids and URLs. An id is the decoded path below the base; a folder's id ends with `/`. The root,
 * which is the base itself, has no id.
 */
export class DavPaths {
  readonly base: URL
  readonly #baseSegments: readonly string[]
  readonly #normalForm: 'NFC' | null

  /** @param base ends with `/` @param normalForm the form to which the server normalises all names, if it does */
  constructor(base: URL, normalForm: 'NFC' | null = null) {
    this.base = base
    this.#normalForm = normalForm
    this.#baseSegments = base.pathname.slice(1, -1).split('/').map(decodeURIComponent)
  }

  /** Returns the id as the server lists it. */
  normalize(id: string): string {
    return this.#normalForm === null ? id : id.normalize(this.#normalForm)
  }

  /** @throws StorageError `INVALID_REQUEST` for an id that must not be sent */
  urlOf(id: string | null): URL {
    if (id === null) return this.base
    if (!this.isUsable(id)) throw invalidId()
    return new URL(this.base.href + this.normalize(id).split('/').map(encodeURIComponent).join('/'))
  }

  /** @throws StorageError `INVALID_REQUEST`, `FOLDER_NOT_FOUND` for a file's id */
  folderUrlOf(id: string | null): URL {
    if (id !== null) checkFolderId(id)
    return this.urlOf(id)
  }

  /** Returns the id of `name` in a folder. @throws StorageError `INVALID_REQUEST` for an invalid name */
  childId(parentId: string | null, name: string): string {
    this.folderUrlOf(parentId)
    const id = (parentId ?? '') + name
    if (!isSegment(name) || !this.isUsable(id)) throw invalidName()
    return id
  }

  isUsable(id: string): boolean {
    return isUsable(id)
  }

  /**
   * Returns the segments of an href below the base, regardless of whether it is a folder; `null` if the href is
   * outside the base or invalid. No request is ever sent to an href: only its path counts, and its host must be ours
   * if it has one (the scheme and the port are often internal ones behind a proxy).
   *
   * An href is not parsed by `URL`: servers leave `#` and `?` in names unescaped, and `..` must remain detectable.
   */
  segmentsOf(href: string): readonly string[] | null {
    const [, host, path = href] =
      /^[a-z][a-z0-9+.-]*:\/\/([^/]*)(.*)$/is.exec(href) ?? /^\/\/([^/]*)(.*)$/s.exec(href) ?? []
    if (host !== undefined && !this.#isSameHost(host)) return null
    if (!path.startsWith('/') || path.includes('\ufffd')) return null
    const trimmedPath = path.endsWith('/') ? path.slice(1, -1) : path.slice(1)
    const segments: string[] = []
    for (const encoded of trimmedPath === '' ? [] : trimmedPath.split('/')) {
      const segment = decodeSegment(encoded)
      if (segment === null || !isSegment(segment)) return null
      segments.push(this.normalize(segment))
    }
    const relativeSegments = segments.splice(this.#depth)
    return segments.every((segment, index) => segment === this.#baseSegments[index]) && segments.length === this.#depth
      ? relativeSegments
      : null
  }

  get #depth(): number {
    return this.base.pathname === '/' ? 0 : this.#baseSegments.length
  }

  #isSameHost(authority: string): boolean {
    const candidate = `${this.base.protocol}//${authority}`
    return URL.canParse(candidate) && new URL(candidate).hostname === this.base.hostname
  }
}

/** @throws StorageError `INVALID_REQUEST` for an id that must not be sent, `FOLDER_NOT_FOUND` for a file's */
export function checkFolderId(id: string): void {
  if (!isUsable(id)) throw invalidId()
  if (!id.endsWith('/')) throw failure('FOLDER_NOT_FOUND')
}

function isUsable(id: string): boolean {
  if (Buffer.byteLength(id) > MAX_ID_BYTES) return false
  const segments = (id.endsWith('/') ? id.slice(0, -1) : id).split('/')
  // Servers on Windows treat a backslash as a slash, even if it is encoded.
  return isUnambiguous(id.replaceAll('\\', '/')) && !segments.includes('')
}

/** Decodes a segment of a path. Returns `null` if it is not percent-encoded UTF-8. */
export function decodeSegment(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return null
  }
}
