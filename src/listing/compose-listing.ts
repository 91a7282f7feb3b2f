import type { Connection } from '../domain/connection.ts'
import type { Entry, EntryPage, Listing } from '../domain/entry.ts'
import type { Cursors, CursorScope } from './cursor.ts'

/** Converts a page of the provider to the route's response. `first`: the page is the first one of its folder. */
export function composeListing(
  connection: Connection,
  page: EntryPage,
  first: boolean,
  cursors: Cursors,
  scope: CursorScope
): Listing {
  const whole = first && page.next === null
  const next = page.next === null ? null : cursors.seal(page.next, scope)
  const cut = page.next !== null && next === null
  return {
    provider: connection.provider,
    connectionId: connection.id,
    folder: page.folder,
    entries: whole ? page.entries.toSorted(folderThenName) : page.entries,
    page: {
      next,
      complete: page.complete,
      reason: cut ? 'page-cap' : page.reason,
      order: whole ? 'folder-then-name' : 'provider'
    }
  }
}

// One collation for all instances, whatever their locale: equal content must have an equal ETag.
const byName = new Intl.Collator('en', { numeric: true })

function folderThenName(a: Entry, b: Entry): number {
  return rank(a) - rank(b) || byName.compare(a.name, b.name) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}

function rank(entry: Entry): number {
  return entry.kind === 'folder' || entry.kind === 'drive' ? 0 : 1
}
