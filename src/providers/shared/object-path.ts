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
