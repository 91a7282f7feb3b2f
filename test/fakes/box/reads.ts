import { randomBytes } from 'node:crypto'
import type { Folder } from 'box-node-sdk/schemas/folder'
import type { Items } from 'box-node-sdk/schemas/items'
import type { BoxCall } from './call.ts'
import { BoxFailure, BoxMistake, invalidParameter } from './failure.ts'
import { BoxFields } from './fields.ts'
import type { FakeBoxKnobs } from './knobs.ts'
import type { BoxType, FakeBoxNode } from './node.ts'
import { FakeBoxSorted, isSort, type BoxOrder } from './order.ts'
import { FakePages } from '../pages.ts'
import { userResource } from './resource.ts'
import type { FakeBoxTree } from './tree.ts'
import type { Wire } from './wire.ts'

const MAX_LIMIT = 1000
const DEFAULT_LIMIT = 100
const BY_NAME: BoxOrder = { sort: 'name', direction: 'ASC', hasMarker: false }
/** The storage of a user without an explicit quota. */
const DEFAULT_SPACE_BYTES = 10 * 1024 ** 4

/** Marker-based listings. */
export function newBoxPages(): FakePages<FakeBoxNode> {
  return new FakePages(
    () => randomBytes(48).toString('base64url'),
    (_problem, marker) =>
      new BoxFailure({
        code: 'bad_request',
        contextInfo: invalidParameter('marker', `Invalid value '${marker}'. The marker is not valid`)
      })
  )
}

/** Handles metadata requests: items and the user. */
export class FakeBoxReads {
  readonly #sorted: FakeBoxSorted
  readonly #pages: FakePages<FakeBoxNode>
  readonly #knobs: FakeBoxKnobs

  constructor(tree: FakeBoxTree, pages: FakePages<FakeBoxNode>, knobs: FakeBoxKnobs) {
    this.#sorted = new FakeBoxSorted(tree)
    this.#pages = pages
    this.#knobs = knobs
  }

  me(call: BoxCall): void {
    const names = call.fields('user').namesFor('user', 'standard')
    const { quotaBytes: amount = DEFAULT_SPACE_BYTES, maxUploadBytes: maxUpload } = this.#knobs
    const space = { amount, used: call.tree.usedBytes(), maxUpload }
    const user = Object.entries(userResource(call.person, space, call.tree.root.created))
    call.send(200, Object.fromEntries(user.filter(([name]) => names.has(name))))
  }

  item(call: BoxCall, type: BoxType): void {
    // Box documents no such parameter for web links.
    if (type === 'web_link' && call.text('fields') !== undefined) throw new BoxMistake('fields of a web link')
    const fields = call.fields(type)
    const node = call.node(type)
    const item = call.item(node, fields)
    if (!fields.namesFor(type, 'standard').has('item_collection')) {
      call.send(200, item)
      return
    }
    const page = { offset: 0, limit: DEFAULT_LIMIT }
    const item_collection = pageByOffset(call, this.#sorted.children(node, BY_NAME), page, BY_NAME)
    call.send(200, { ...item, item_collection } satisfies Wire<Folder>)
  }

  /** Lists a folder. */
  items(call: BoxCall): void {
    const fields = call.fields('file', 'folder', 'web_link')
    const limit = Math.min(this.#knobs.pageLimit, call.integer('limit', 1, MAX_LIMIT, DEFAULT_LIMIT))
    const order = orderOf(call)
    const offset = call.integer('offset', 0, Number.MAX_SAFE_INTEGER, 0)
    const folder = call.node('folder')
    if (order.hasMarker) {
      call.send(200, this.#pageByMarker(call, folder, limit, order, fields))
      return
    }
    const { maxOffset } = this.#knobs
    if (offset > maxOffset) {
      const message = `Invalid value '${offset}'. The offset must not exceed the maximum offset of ${maxOffset}`
      throw new BoxFailure({ code: 'bad_request', contextInfo: invalidParameter('offset', message) })
    }
    call.send(200, pageByOffset(call, this.#sorted.children(folder, order), { offset, limit }, order, fields))
  }

  #pageByMarker(call: BoxCall, folder: FakeBoxNode, limit: number, order: BoxOrder, fields: BoxFields): Wire<Items> {
    const requestedMarker = call.text('marker')
    // A missing marker, an empty one and 0 all mean the first page.
    const marker = requestedMarker === '' || requestedMarker === '0' ? undefined : requestedMarker
    const requestKey = JSON.stringify([folder.id, order])
    const list = () => this.#sorted.children(folder, order)
    const { pageFault: fault, lastMarker } = this.#knobs
    const page = this.#pages.page({ requestKey, cursor: marker, size: limit, fault, list })
    const { items, nextCursor: nextMarker = lastMarker } = page
    const isInFolder = (node: FakeBoxNode) => node.parent === folder.id && node.trashed === undefined
    const entries = miniEntries(call, items.filter(isInFolder), fields)
    return { entries, limit, ...(nextMarker !== undefined && { next_marker: nextMarker }) }
  }
}

function orderOf(call: BoxCall): BoxOrder {
  const hasMarker = call.flag('usemarker')
  const sort = call.text('sort') ?? 'name'
  const direction = call.text('direction') ?? 'ASC'
  if (!isSort(sort)) throw new BoxMistake(`sort=${sort}`)
  if (direction !== 'ASC' && direction !== 'DESC') throw new BoxMistake(`direction=${direction}`)
  if (!hasMarker && call.text('marker') !== undefined) throw new BoxMistake('a marker without usemarker=true')
  if (hasMarker && call.text('offset') !== undefined) throw new BoxMistake('an offset together with markers')
  return { sort, direction, hasMarker }
}

/** Hidden items count but are omitted: such a page is short, or empty with more to follow. */
function pageByOffset(
  call: BoxCall,
  all: readonly FakeBoxNode[],
  { offset, limit }: { readonly offset: number; readonly limit: number },
  { sort, direction }: BoxOrder,
  fields = new BoxFields(null, [])
): Wire<Items> {
  return {
    total_count: all.length,
    entries: miniEntries(call, all.slice(offset, offset + limit), fields),
    offset,
    limit,
    order: [
      { by: 'type', direction: 'ASC' },
      { by: sort, direction }
    ]
  }
}

function miniEntries(
  call: BoxCall,
  nodes: readonly FakeBoxNode[],
  fields: BoxFields
): NonNullable<Wire<Items>['entries']> {
  return nodes.filter(({ flags }) => flags.hidden !== true).map((node) => call.item(node, fields, 'mini'))
}
