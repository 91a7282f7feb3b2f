import type { ServerResponse } from 'node:http'
import type { ThumbnailSet } from '@microsoft/microsoft-graph-types'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { sendContent } from '../content.ts'
import { GraphFailure, itemNotFound } from './failure.ts'
import type { FakeGraphKnobs } from './knobs.ts'
import { FakeGraphLinks, newSecret } from './links.ts'
import type { FakeGraphNode } from './node.ts'
import type { ThumbnailSize } from './select.ts'
import { checkIfMatch, eTagOf, matches } from './tags.ts'
import type { FakeGraphTree } from './tree.ts'

interface Download {
  readonly node: FakeGraphNode
  readonly thumbnail?: ThumbnailSize
}

const THUMBNAIL_PIXELS: Readonly<Record<ThumbnailSize, number>> = { small: 96, medium: 176, large: 800 }

/** Pre-authenticated addresses of content, which expire. */
export class FakeGraphDownloads {
  readonly #tree: FakeGraphTree
  readonly #knobs: FakeGraphKnobs
  readonly #links = new FakeGraphLinks<Download>()

  constructor(tree: FakeGraphTree, knobs: FakeGraphKnobs) {
    this.#tree = tree
    this.#knobs = knobs
  }

  expire(): void {
    this.#links.expire()
  }

  /** Returns a new address on the content origin. */
  urlOf(node: FakeGraphNode, origin: string): string {
    return this.#add({ node }, origin, 'download.aspx')
  }

  thumbnailsOf(node: FakeGraphNode, sizes: readonly ThumbnailSize[], origin: string): ThumbnailSet[] {
    if (node.flags.hasThumbnail !== true) return []
    const thumbnails = sizes.map((size) => {
      const url = this.#add({ node, thumbnail: size }, origin, 'thumbnail')
      return [size, { url, width: THUMBNAIL_PIXELS[size], height: THUMBNAIL_PIXELS[size] }] as const
    })
    return [{ id: '0', ...Object.fromEntries(thumbnails) } satisfies ThumbnailSet]
  }

  send(request: FakeCloudRequest, response: ServerResponse): void {
    const download = this.#links.find(request)
    const { kind } = this.#tree
    if (download === undefined)
      throw kind === 'business' ? new GraphFailure({ code: 'unauthenticated' }) : itemNotFound()
    const { node, thumbnail } = download
    if (this.#tree.find(node.id, node.driveId) !== node) throw itemNotFound()
    if (thumbnail !== undefined) {
      const headers = { 'content-type': 'image/jpeg' }
      sendContent(
        response,
        Buffer.from(`thumbnail of ${node.name}: ${thumbnail}`),
        undefined,
        { ...NO_RESETS },
        headers
      )
      return
    }
    if (node.flags.malware !== undefined) throw new GraphFailure({ code: 'malwareDetected' })
    const { range, 'if-range': ifRange, 'if-match': ifMatch } = request.headers
    checkIfMatch(ifMatch, node, kind)
    const isRange = !this.#knobs.ignoresRanges && (ifRange === undefined || matches(ifRange, node, kind))
    sendContent(response, node.content ?? Buffer.alloc(0), isRange ? range : undefined, this.#knobs.downloadResets, {
      'content-type': node.mimeType,
      etag: kind === 'business' ? eTagOf(node, kind) : `"${eTagOf(node, kind)}"`,
      ...(!this.#knobs.ignoresRanges && { 'accept-ranges': 'bytes' })
    })
  }

  #add(download: Download, origin: string, pageName: string): string {
    const { kind } = this.#tree
    const secret = newSecret()
    const url =
      kind === 'business'
        ? `${origin}/personal/me/_layouts/15/${pageName}?UniqueId=${download.node.guid}&Translate=false&tempauth=v1.${secret}`
        : `${origin}/y4m${secret}/${pageName}?psid=1`
    return this.#links.add(url, download)
  }
}

const NO_RESETS = { times: 0, afterBytes: 0 }
