import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { BoxCall } from './call.ts'
import { BoxFailure } from './failure.ts'
import type { FakeBoxKnobs } from './knobs.ts'
import type { FakeBoxNode } from './node.ts'
import { sendContent } from '../content.ts'

/** The target of an address: an immutable version of a file. */
interface Download {
  readonly name: string
  readonly content: Buffer
}

/** Downloads: the address of a file redirects to another origin, where no token is needed. */
export class FakeBoxDownloads {
  readonly #downloads = new Map<string, Download>()
  readonly #knobs: FakeBoxKnobs

  constructor(knobs: FakeBoxKnobs) {
    this.#knobs = knobs
  }

  /** Invalidates all addresses issued so far. */
  expire(): void {
    this.#downloads.clear()
  }

  redirect(call: BoxCall, origin: string): void {
    const node = call.requirePermissions(call.node('file'), 'can_download')
    if (node.flags.malicious === true) throw new BoxFailure({ code: 'forbidden_by_policy' })
    if (this.#isNotReady(node)) {
      call.sendNotReady(this.#knobs.retryAfter)
      return
    }
    const secret = randomBytes(96).toString('base64url')
    this.#downloads.set(secret, { name: node.name, content: call.tree.read(node) })
    call.response.writeHead(302, { location: `${origin}/d/1/${secret}/download`, 'content-length': 0 }).end()
  }

  send(secret: string, range: string | undefined, response: ServerResponse): void {
    const download = this.#downloads.get(secret)
    if (download === undefined) {
      response.writeHead(404, { 'content-type': 'text/html', 'content-length': 0 }).end()
      return
    }
    const { name, content } = download
    const asciiName = name.replace(/[^ -~]|["\\]/g, '_')
    sendContent(response, content, range, this.#knobs.downloadResets, {
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment;filename="${asciiName}";filename*=UTF-8''${encodeURIComponent(name.toWellFormed())}`,
      'accept-ranges': 'bytes',
      'cache-control': 'private'
    })
  }

  #isNotReady(node: FakeBoxNode): boolean {
    const source = this.#knobs.notReady > 0 ? this.#knobs : node
    if (source.notReady <= 0) return false
    source.notReady--
    return true
  }
}
