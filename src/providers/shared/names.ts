import { StorageError } from '../../errors.ts'

const LONE_SURROGATE = /\p{Surrogate}/u

/**
 * Returns whether all clients and servers read a `/`-separated id alike: no `.` or `..` segment (browsers, proxies
 * and some servers resolve them, even percent-encoded), no NUL (some truncate there), no lone surrogate (not UTF-8).
 */
export function isUnambiguous(path: string): boolean {
  if (path.includes('\0') || LONE_SURROGATE.test(path)) return false
  return !path.split('/').some((segment) => segment === '.' || segment === '..')
}

/** Returns whether `name` can be one segment of an id. */
export function isSegment(name: string): boolean {
  return name !== '' && !name.includes('/') && isUnambiguous(name)
}

/** Returns the last segment: `c` of `a/b/c` and of `a/b/c/`. */
export function nameOf(id: string): string {
  const end = id.endsWith('/') ? id.length - 1 : id.length
  return id.slice(id.lastIndexOf('/', end - 1) + 1, end)
}

/** Returns the parent folder of `id`: `a/b/` of `a/b/c` and of `a/b/c/`; `null` for the root. */
export function parentOf(id: string): string | null {
  const end = id.endsWith('/') ? id.length - 1 : id.length
  const slash = id.lastIndexOf('/', end - 1)
  return end === 0 || slash === -1 ? null : id.slice(0, slash + 1)
}

/** Some services allow longer names, and slashes. This limit keeps files copyable to every service. */
const MAX_NAME_BYTES = 1024

/** Validates a name. @throws StorageError `INVALID_REQUEST` if no service accepts it as a file or folder name */
export function requireName(name: string): void {
  if (isSegment(name) && Buffer.byteLength(name) <= MAX_NAME_BYTES) return
  throw invalidName()
}

export function invalidName(): StorageError {
  return new StorageError('INVALID_REQUEST', 'This is not a valid name. Choose another name.')
}

/** Returns the error for an id that must not be sent. */
export function invalidId(): StorageError {
  return new StorageError('INVALID_REQUEST', 'This is not a valid id.')
}

/** Compares names regardless of Unicode normalization, and of their case if the service ignores it. */
export function isSameName(a: string, b: string, { ignoreCase }: { readonly ignoreCase: boolean }): boolean {
  const normalize = (name: string): string => (ignoreCase ? name.normalize().toLowerCase() : name.normalize())
  return normalize(a) === normalize(b)
}

/**
 * Compares two strings by their UTF-8 bytes without encoding them: the order in which S3 lists keys. JavaScript's `<`
 * compares UTF-16 units and puts characters above U+FFFF before U+E000 to U+FFFF.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index)
    const y = b.charCodeAt(index)
    if (x !== y) return utf8Rank(x) - utf8Rank(y)
  }
  return a.length - b.length
}

/** Ranks surrogates, which represent everything above U+FFFF, after the units that UTF-8 sorts before them. */
function utf8Rank(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800
  return unit >= 0xd800 ? unit + 0x2000 : unit
}
