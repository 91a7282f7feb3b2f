import { randomBytes } from 'node:crypto'
import type { Drive, Site, User } from '@microsoft/microsoft-graph-types'
import type { GraphCall } from './call.ts'
import type { FakeGraphDownloads } from './downloads.ts'
import { GraphFailure, GraphMistake, invalidRequest } from './failure.ts'
import { itemResource, type GraphItem } from './item.ts'
import type { FakeGraphKnobs } from './knobs.ts'
import { nameKey } from './name.ts'
import type { FakeGraphNode, FakeGraphSite } from './node.ts'
import { FakePages } from '../pages.ts'
import { driveResource, siteResource, userResource } from './resource.ts'
import * as properties from './select.ts'
import { matches } from './tags.ts'
import { checkHasChildren } from './view.ts'

export interface GraphOrigins {
  readonly url: string
  readonly contentUrl: string
}

const TOKEN = '$skiptoken'
const DEFAULT_PAGE_SIZE = 200

/** Listings with next links, which a client must follow unchanged. */
export function newGraphPages(): FakePages<unknown> {
  return new FakePages(
    () => randomBytes(30).toString('base64'),
    (problem) => {
      if (problem === 'expired') return new GraphFailure({ code: 'resyncRequired' })
      return new GraphMistake(
        problem === 'changed' ? 'a next link that was changed' : 'a $skiptoken that was never handed out'
      )
    }
  )
}

/** Handles read requests. */
export class FakeGraphReads {
  readonly #pages: FakePages<unknown>
  readonly #downloads: FakeGraphDownloads
  readonly #knobs: FakeGraphKnobs
  readonly #origins: GraphOrigins

  constructor(pages: FakePages<unknown>, downloads: FakeGraphDownloads, knobs: FakeGraphKnobs, origins: GraphOrigins) {
    this.#pages = pages
    this.#downloads = downloads
    this.#knobs = knobs
    this.#origins = origins
  }

  me(call: GraphCall): void {
    const { tree, caller } = call.view
    call.view.checkUser()
    const user: User = call.select(properties.USER_PROPERTIES).apply(userResource(caller.user, tree.kind))
    call.send(this.#entity('users', user))
  }

  drive(call: GraphCall): void {
    const select = call.select(properties.DRIVE_PROPERTIES)
    const drive: Drive = select.apply(driveResource(call.view.drive(call.route), this.#knobs.quotaBytes))
    call.send(this.#entity('drives', drive))
  }

  item(call: GraphCall): void {
    const toResource = this.#resourceFactory(call)
    const node = call.view.node(call.route)
    const condition = call.request.headers['if-none-match']
    if (condition !== undefined && matches(condition, node, call.view.tree.kind)) call.response.writeHead(304).end()
    else call.send(this.#entity('driveItems', toResource(node)))
  }

  children(call: GraphCall): void {
    const toResource = this.#resourceFactory(call)
    if (call.text('$select')?.includes(properties.DOWNLOAD_URL) === true) {
      throw new GraphMistake('secret addresses of everything in a folder')
    }
    const { view } = call
    const folder = view.node(call.route)
    checkHasChildren(folder)
    const direction = directionOf(call.text('$orderby'))
    this.#list(
      call,
      'driveItems',
      () => sortNodes(view.tree.children(folder), direction),
      (node) =>
        // Items deleted since the first page are omitted from later ones.
        view.tree.find(node.id, node.driveId) === node ? [toResource(node)] : []
    )
  }

  download(call: GraphCall): void {
    const node = call.view.node(call.route)
    checkHasChildren(node)
    if (node.content === undefined) throw invalidRequest('You cannot get content for a folder')
    if (node.flags.malware !== undefined) throw new GraphFailure({ code: 'malwareDetected' })
    const location = this.#downloads.urlOf(node, this.#origins.contentUrl)
    call.response.writeHead(302, { location, 'content-length': 0 }).end()
  }

  sites(call: GraphCall): void {
    const search = call.text('search')
    if (search === null) throw new GraphMistake('sites without a search')
    call.view.checkSites()
    const sites = call.view.tree.sites()
    const isFound = ({ name }: FakeGraphSite) => search === '*' || nameKey(name).includes(nameKey(search))
    this.#sites(call, sites.filter(isFound))
  }

  site(call: GraphCall): void {
    const select = call.select(properties.SITE_PROPERTIES)
    const site: Site = select.apply(siteResource(call.view.site(call.route.siteId)))
    call.send(this.#entity('sites', site))
  }

  subsites(call: GraphCall): void {
    const parentSite = call.view.site(call.route.siteId)
    this.#sites(
      call,
      call.view.tree.sites().filter(({ parent }) => parent === parentSite)
    )
  }

  siteDrives(call: GraphCall): void {
    const select = call.select(properties.DRIVE_PROPERTIES)
    const requestedSite = call.view.site(call.route.siteId)
    const drives = call.view.tree.drives().filter(({ site }) => site === requestedSite)
    this.#list(
      call,
      'drives',
      () => drives,
      (drive): Drive[] => [select.apply(driveResource(drive, this.#knobs.quotaBytes))]
    )
  }

  /** Returns all default properties, as after an upload. */
  fullResource(call: GraphCall, node: FakeGraphNode): object {
    return this.#entity('driveItems', this.#resource(call, node, new properties.GraphSelect(null, [])))
  }

  #sites(call: GraphCall, sites: readonly FakeGraphSite[]): void {
    const select = call.select(properties.SITE_PROPERTIES)
    this.#list(
      call,
      'sites',
      () => sites,
      (site): Site[] => {
        const { displayName, ...rest } = select.apply(siteResource(site))
        // Lists omit it if any property is selected (microsoft-graph-docs issue 13345).
        return [select.isAll && displayName != null ? { ...rest, displayName } : rest]
      }
    )
  }

  #list<T>(call: GraphCall, entityType: string, list: () => readonly T[], toResource: (item: T) => object[]): void {
    const { path, query } = call.request
    const { pageLimit, shortPages, pageFault: fault, sendsCount } = this.#knobs
    const options = [...query].filter(([name]) => name !== TOKEN)
    const { items, count, nextCursor } = this.#pages.page({
      requestKey: JSON.stringify([call.view.caller.user, path, options.toSorted()]),
      cursor: query.get(TOKEN) ?? undefined,
      size: Math.min(Number(query.get('$top') ?? DEFAULT_PAGE_SIZE), pageLimit, shortPages.shift() ?? Infinity),
      fault,
      list
    })
    const search = [...options, [TOKEN, nextCursor ?? ''] as const].map(
      ([name, value]) => `${name}=${encodeURIComponent(value)}`
    )
    call.send({
      '@odata.context': this.#contextOf(entityType),
      ...(sendsCount && { '@odata.count': count }),
      ...(nextCursor !== undefined && { '@odata.nextLink': `${this.#origins.url}${path}?${search.join('&')}` }),
      value: (items as readonly T[]).flatMap(toResource)
    })
  }

  /** Validates the request first, so that an invalid one fails for any item. */
  #resourceFactory(call: GraphCall): (node: FakeGraphNode) => GraphItem {
    const select = call.select(properties.ITEM_PROPERTIES)
    const sizes = properties.thumbnailSizes(call.text('$expand'))
    return (node) => ({
      ...this.#resource(call, node, select),
      ...(sizes !== undefined && { thumbnails: this.#downloads.thumbnailsOf(node, sizes, this.#origins.contentUrl) })
    })
  }

  #resource({ view }: GraphCall, node: FakeGraphNode, select: properties.GraphSelect): GraphItem {
    const item = itemResource(node, view.tree, select)
    // Selecting it by name with the dollar sign does not work (microsoft-graph-docs issue 20212).
    if (node.content === undefined || !select.isAll || this.#knobs.omitsDownloadUrl) return item
    return { ...item, [properties.DOWNLOAD_URL]: this.#downloads.urlOf(node, this.#origins.contentUrl) }
  }

  #entity(entityType: string, value: object): object {
    return { '@odata.context': `${this.#contextOf(entityType)}/$entity`, ...value }
  }

  #contextOf(entityType: string): string {
    return `${this.#origins.url}/v1.0/$metadata#${entityType}`
  }
}

function directionOf(orderby: string | null): 1 | -1 | null {
  if (orderby === null) return null
  const [, direction] = /^name(?: (asc|desc))?$/.exec(orderby) ?? [undefined, 'unknown']
  if (direction === 'unknown') throw new GraphMistake(`$orderby=${orderby}`)
  return direction === 'desc' ? -1 : 1
}

function sortNodes(nodes: readonly FakeGraphNode[], direction: 1 | -1 | null): readonly FakeGraphNode[] {
  if (direction === null) return nodes
  const withKeys = nodes.map((node) => [nameKey(node.name), node] as const)
  withKeys.sort(([a], [b]) => (a < b ? -direction : a > b ? direction : 0))
  return withKeys.map(([, node]) => node)
}
