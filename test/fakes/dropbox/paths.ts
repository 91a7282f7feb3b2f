/** Names that Dropbox keeps for itself or takes for rubbish (its help page "Files not syncing"). */
const DISALLOWED = ['desktop.ini', 'thumbs.db', '.ds_store', 'icon\r', '.dropbox', '.dropbox.attr', '.dropbox.cache']
const TEMPORARY = /^(?:~\$|\.~|~.*\.tmp$)/i
const MAX_NAME = 255

/** A path from something that is there. */
export interface DropboxPath {
  /** `id:...`, `ns:...`, `rev:...`; empty for the root. */
  readonly start: string
  readonly names: readonly string[]
}

/** Undefined where the path has no form that Dropbox knows, although its pattern lets it through. */
export function parsePath(path: string): DropboxPath | undefined {
  const [, start = '', below = ''] = /^((?:id|ns|rev):[^/]*)?((?:\/[^]*)?)$/.exec(path) ?? []
  const names = below.split('/').slice(1)
  const isId = start.startsWith('id:')
  return (isId && !/^id:[\w-]{22,}$/.test(start)) || names.some(isMalformed) ? undefined : { start, names }
}

export function isDisallowed(name: string): boolean {
  return DISALLOWED.includes(name.toLowerCase()) || TEMPORARY.test(name)
}

/** The last of these rclone has found by trying. */
function isMalformed(name: string): boolean {
  const isDots = name === '' || name === '.' || name === '..'
  return isDots || name.length > MAX_NAME || /\s$/.test(name) || /[\\\u007f]/.test(name)
}
