import { randomBytes } from 'node:crypto'
import type { UploadUrl } from 'box-node-sdk/schemas/uploadUrl'
import type { BoxCall } from './call.ts'
import { BoxFailure, BoxMistake } from './failure.ts'
import { BoxBody } from './body.ts'
import { readMultipart } from './multipart.ts'
import { sha1Of } from './sessions.ts'
import type { Wire } from './wire.ts'
import { sendFile, TIME_NAMES, parseTimes, type FakeBoxWrites } from './writes.ts'

const PREFLIGHT_FIELDS = ['name', 'parent', 'size']

/** Single-request uploads, and their preflight checks. */
export class FakeBoxSimpleUploads {
  readonly #writes: FakeBoxWrites
  /** The secrets of issued upload URLs. */
  readonly #secrets = new Set<string>()

  constructor(writes: FakeBoxWrites) {
    this.#writes = writes
  }

  checkFile(call: BoxCall, origin: string): void {
    const body = call.json(PREFLIGHT_FIELDS)
    this.#writes.checkFile(call, parseLocation(body), body.integer('size') ?? 0)
    this.#sendUrl(call, origin)
  }

  checkVersion(call: BoxCall, origin: string): void {
    const body = call.json(PREFLIGHT_FIELDS)
    this.#writes.checkVersion(call, call.route.id, body.text('name'), body.integer('size') ?? 0)
    this.#sendUrl(call, origin)
  }

  createFile(call: BoxCall): void {
    const { fields, body, content } = this.#readUpload(call)
    if (body === undefined) throw new BoxMistake('no attributes')
    sendFile(call, this.#writes.create(call, parseLocation(body), parseTimes(body), content), fields)
  }

  createVersion(call: BoxCall): void {
    const { fields, body, content } = this.#readUpload(call)
    if (body?.parent() !== undefined) throw new BoxMistake('a parent for new content')
    sendFile(call, this.#writes.write(call, call.route.id, body?.text('name'), parseTimes(body), content), fields, 200)
  }

  #readUpload(call: BoxCall) {
    const fields = call.fields('file')
    const secret = call.text('upload_session_id')
    if (secret !== undefined && !this.#secrets.has(secret)) throw new BoxMistake('an upload URL that was changed')
    const { attributes, content } = readMultipart(call.request)
    const body = attributes === undefined ? undefined : new BoxBody(attributes, ['name', 'parent', ...TIME_NAMES])
    const digest = call.header('content-md5')
    // Despite its name, it is a SHA-1.
    if (digest !== undefined && !/^[0-9a-f]{40}$/i.test(digest)) throw new BoxMistake(`the content-md5 ${digest}`)
    if (digest !== undefined && digest.toLowerCase() !== sha1Of(content, 'hex')) {
      throw new BoxFailure({ code: 'bad_digest' })
    }
    return { fields, body, content }
  }

  #sendUrl(call: BoxCall, origin: string): void {
    const secret = randomBytes(16).toString('hex')
    this.#secrets.add(secret)
    const path = call.request.path.replace(/^\/2\.0/, '/api/2.0')
    const upload_url = `${origin}${path}?upload_session_id=${secret}`
    // A null token: the access token is valid for the upload too.
    call.send(200, { upload_url, upload_token: null } satisfies Wire<UploadUrl>)
  }
}

function parseLocation(body: BoxBody) {
  const parent = body.parent()
  if (parent === undefined) throw new BoxMistake('no parent')
  return { name: body.requiredText('name'), parent }
}
