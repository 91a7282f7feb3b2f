import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { files } from 'dropbox'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { sendContent } from '../content.ts'
import type { DropboxCall } from './call.ts'
import { readableFile } from './content.ts'
import { DropboxFailure, DropboxMistake, endpointError } from './failure.ts'
import type { FakeDropboxKnobs } from './knobs.ts'
import { fileMetadata } from './metadata.ts'

const LIFETIME_MS = 4 * 60 * 60 * 1000

const TYPES: Readonly<Record<string, string>> = {
  txt: 'text/plain; charset=utf-8',
  md: 'text/plain; charset=utf-8',
  html: 'text/html; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
  json: 'application/json',
  pdf: 'application/pdf',
  zip: 'application/zip',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  mp4: 'video/mp4'
}

interface Link {
  readonly name: string
  readonly rev: string
  readonly content: Buffer
  readonly expires: number
}

/** Links that give access to one version of a file, without credentials, for four hours. */
export class FakeDropboxLinks {
  readonly #links = new Map<string, Link>()
  readonly #knobs: FakeDropboxKnobs
  readonly #now: () => Date
  readonly #origin: () => string

  constructor(knobs: FakeDropboxKnobs, now: () => Date, origin: () => string) {
    this.#knobs = knobs
    this.#now = now
    this.#origin = origin
  }

  create(call: DropboxCall): files.GetTemporaryLinkResult {
    const node = readableFile(call)
    const { name, rev, content } = node
    if (content === undefined) {
      throw new DropboxFailure(endpointError({ '.tag': 'unsupported_file' } satisfies files.GetTemporaryLinkError))
    }
    const path = `/cd/0/get/${randomBytes(48).toString('base64url')}/file`
    this.#links.set(path, { name, rev, content, expires: this.#now().getTime() + LIFETIME_MS })
    return { metadata: fileMetadata(call.view, node), link: this.#origin() + path }
  }

  /** Checks the head of a request. */
  check({ method, path, query, headers }: FakeCloudRequest): void {
    if (method !== 'GET' && method !== 'HEAD') throw new DropboxMistake(path, `the method ${method}`)
    if ('authorization' in headers) throw new DropboxMistake(path, 'a token for a temporary link')
    if (query.size > 0 || !this.#links.has(path)) throw new DropboxMistake(path, 'a link that was never given')
  }

  send({ path, headers }: FakeCloudRequest, response: ServerResponse): void {
    const link = this.#links.get(path)
    if (link === undefined || link.expires <= this.#now().getTime()) {
      throw new DropboxFailure({ status: 410, error: 'This link has expired.' })
    }
    const { name, rev, content } = link
    const [, extension = ''] = /\.([^.]*)$/.exec(name) ?? []
    const ascii = name.replaceAll(/[^\x20-\x7e]|["\\]/g, '_')
    sendContent(response, content, headers['range'], this.#knobs.downloadResets, {
      'content-type': TYPES[extension.toLowerCase()] ?? 'application/octet-stream',
      'content-disposition': `${this.#knobs.linkDisposition}; filename="${ascii}"; filename*=UTF-8''${encoded(name)}`,
      'accept-ranges': 'bytes',
      'cache-control': 'max-age=60',
      'x-content-type-options': 'nosniff',
      etag: `"${rev}"`
    })
  }
}

/** RFC 8187 encoding. */
function encoded(name: string): string {
  return encodeURIComponent(name).replaceAll(/['()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
}
