const LONE_SURROGATE = /\p{Surrogate}/u

/**
 * Whether a `/`-separated id means the same to everyone on its way: no `.` or `..` segment (browsers, proxies and
 * some servers resolve them, even percent-encoded), no NUL (cut off by some), no lone surrogate (not UTF-8).
 */
export function isUnambiguous(path: string): boolean {
  if (path.includes('\0') || LONE_SURROGATE.test(path)) return false
  return !path.split('/').some((segment) => segment === '.' || segment === '..')
}

/** Whether `name` can be one segment of an id. */
export function isSegment(name: string): boolean {
  return name !== '' && !name.includes('/') && isUnambiguous(name)
}

/** The last segment: `c` of `a/b/c` and of `a/b/c/`. */
export function nameOf(id: string): string {
  const end = id.endsWith('/') ? id.length - 1 : id.length
  return id.slice(id.lastIndexOf('/', end - 1) + 1, end)
}

/** The folder that holds `id`: `a/b/` of `a/b/c` and of `a/b/c/`, `null` where that is the root. */
export function parentOf(id: string): string | null {
  const end = id.endsWith('/') ? id.length - 1 : id.length
  const slash = id.lastIndexOf('/', end - 1)
  return end === 0 || slash === -1 ? null : id.slice(0, slash + 1)
}
