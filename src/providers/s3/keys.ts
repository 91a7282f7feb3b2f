import { StorageError } from '../../domain/errors.ts'
import { providerFailure } from '../../domain/provider-failure.ts'
import { isSegment, isUnambiguous } from '../shared/object-path.ts'

/** S3's own limit, in bytes of UTF-8. */
const MAX_KEY_BYTES = 1024

/**
 * Converts between ids and keys. An id is the key without the connection's prefix; a folder's id ends with `/`. The
 * root, which is the prefix itself, has no id.
 */
export class Keys {
  readonly prefix: string

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /**
   * Returns the key prefix of a folder's content.
   *
   * @throws StorageError `INVALID_REQUEST` for an id that must not be sent, `FOLDER_NOT_FOUND` for a file's
   */
  ofFolder(id: string | null): string {
    if (id === null) return this.prefix
    const key = this.of(id)
    if (!id.endsWith('/')) throw providerFailure('FOLDER_NOT_FOUND')
    return key
  }

  /** @throws StorageError `INVALID_REQUEST` for an id that must not be sent */
  of(id: string): string {
    const key = this.prefix + id
    if (!isUsable(id, key)) throw new StorageError('INVALID_REQUEST', 'This is not a valid id.')
    return key
  }

  /** Returns the id of `name` in a folder. @throws StorageError `INVALID_REQUEST` for an invalid name */
  childId(parentId: string | null, name: string): string {
    if (!isSegment(name)) throw new StorageError('INVALID_REQUEST', 'This is not a valid name. Choose another name.')
    if (parentId !== null) this.ofFolder(parentId)
    return (parentId ?? '') + name
  }

  /** Returns the id of a key below the prefix. */
  idOf(key: string): string {
    return key.slice(this.prefix.length)
  }

  /** Returns whether a listed id can be used in requests. */
  isUsable(id: string): boolean {
    return isUsable(id, this.prefix + id)
  }
}

function isUsable(id: string, key: string): boolean {
  return id !== '' && isUnambiguous(id) && Buffer.byteLength(key) <= MAX_KEY_BYTES
}

/**
 * Decodes a key of `EncodingType: 'url'`, which the SDK does not decode (3.1169): `+` is a space, the rest is
 * percent-encoded. Returns `undefined` if it is not UTF-8.
 */
export function decodeKey(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
