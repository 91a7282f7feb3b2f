/** Names that Dropbox reserves or ignores (its help page "Files not syncing"). */
const DISALLOWED = ['desktop.ini', 'thumbs.db', '.ds_store', 'icon\r', '.dropbox', '.dropbox.attr', '.dropbox.cache']
const TEMPORARY = /^(?:~\$|\.~|~.*\.tmp$)/i
const MAX_NAME = 255

/** A path relative to an existing item. */
export interface DropboxPath {
  /** `id:...`, `ns:...`, `rev:...`; empty for the root. */
  readonly start: string
  readonly names: readonly string[]
}

/** Returns undefined for a path that matches Dropbox's pattern but is malformed nevertheless. */
export function parsePath(path: string): DropboxPath | undefined {
  const [, start = '', below = ''] = /^((?:id|ns|rev):[^/]*)?((?:\/[^]*)?)$/.exec(path) ?? []
  const names = below.split('/').slice(1)
  const isId = start.startsWith('id:')
  return (isId && !/^id:[\w-]{22,}$/.test(start)) || names.some(isMalformed) ? undefined : { start, names }
}

export function isDisallowed(name: string): boolean {
  return DISALLOWED.includes(name.toLowerCase()) || TEMPORARY.test(name)
}

/** rclone's authors found the last of these by experiment. */
function isMalformed(name: string): boolean {
  const isDots = name === '' || name === '.' || name === '..'
  return isDots || name.length > MAX_NAME || /\s$/.test(name) || /[\\\u007f]/.test(name)
}
