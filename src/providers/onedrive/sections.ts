import type { Entry, EntryPage, IncompleteReason } from '../../domain/entry.ts'
import type { ListCall } from '../../domain/storage-backend.ts'
import { invalidCursor } from '../shared/json-cursor.ts'
import { type Place, type Section, writeCursor } from './cursor.ts'
import { OWN_ROOT, ROOT } from './ids.ts'
import { MAX_TOP } from './pages.ts'

/** A page of one section. */
export interface Part {
  readonly entries: readonly Entry[]
  /** The position at which the section continues; `null` at its end. */
  readonly next: Place | null
  /** Whether more items were reported than returned. */
  readonly isPartial: boolean
  /** The id of the folder for clients. */
  readonly shownAs: string
}

export type ListPart = (place: Place) => Promise<Part>

/** The sections of a folder, in order. */
export type Sections = ReadonlyMap<Section, ListPart>

/**
 * Returns a page of a folder that consists of several collections. If one ends and at least half of the page is free,
 * the next one starts on the same page. Within a section, Graph's pages have the size of the first one.
 */
export async function pageOfSections(sections: Sections, place: Place | null, call: ListCall): Promise<EntryPage> {
  const { limit, kind } = call
  const names = [...sections.keys()]
  const begin = (section: Section | undefined, room: number, isPartial: boolean): Place | null => {
    const top = Math.min(room, MAX_TOP)
    return section === undefined ? null : { section, query: null, top, seen: 0, at: null, isPartial }
  }
  const entries: Entry[] = []
  for (let at = place ?? begin(names[0], limit, false); at !== null;) {
    const list = sections.get(at.section)
    if (list === undefined) break
    const { entries: more, next, isPartial: isShort, shownAs } = await list(at)
    const isPartial = at.isPartial || isShort
    entries.push(...more.filter((entry) => kind === undefined || entry.kind === kind))
    const room = limit - entries.length
    const rest = next ?? begin(names[names.indexOf(at.section) + 1], limit, isPartial)
    if (next === null && rest !== null && room >= limit / 2) {
      at = begin(rest.section, room, isPartial)
      continue
    }
    // The next request may contain another id of the root.
    const named = shownAs === ROOT ? OWN_ROOT : null
    const reason: IncompleteReason | null = rest !== null ? 'more' : isPartial ? 'provider-partial' : null
    return {
      folder: { id: shownAs, name: null, parentId: null },
      entries,
      next: rest === null ? null : writeCursor({ ...rest, at: rest.at ?? named }),
      complete: reason === null,
      reason
    }
  }
  throw invalidCursor()
}
