import { randomBytes } from 'node:crypto'
import type { UploadUrl } from 'box-node-sdk/schemas/uploadUrl'
import type { BoxCall } from './call.ts'
import { BoxFailure, BoxMistake } from './failure.ts'
import { BoxBody } from './body.ts'
import { readMultipart } from './multipart.ts'
import { sha1Of } from './sessions.ts'
import type { Wire } from './wire.ts'
import { sendFile, TIME_NAMES, timesOf, type FakeBoxWrites } from './writes.ts'

const NAMES = ['name', 'parent', 'size']

/** Single-request uploads, and their preflight checks. */
export class FakeBoxPieces {
  readonly #writes: FakeBoxWrites
  /** The secrets of issued upload URLs. */
  readonly #secrets = new Set<string>()

  constructor(writes: FakeBoxWrites) {
    this.#writes = writes
  }

  checkFile(call: BoxCall, origin: string): void {
    const said = call.json(NAMES)
    this.#writes.checkFile(call, placeOf(said), said.integer('size') ?? 0)
    this.#sendUrl(call, origin)
  }

  checkVersion(call: BoxCall, origin: string): void {
    const said = call.json(NAMES)
    this.#writes.checkVersion(call, call.route.id, said.text('name'), said.integer('size') ?? 0)
    this.#sendUrl(call, origin)
  }

  createFile(call: BoxCall): void {
    const { fields, said, content } = this.#read(call)
    if (said === undefined) throw new BoxMistake('no attributes')
    sendFile(call, this.#writes.create(call, placeOf(said), timesOf(said), content), fields)
  }

  createVersion(call: BoxCall): void {
    const { fields, said, content } = this.#read(call)
    if (said?.parent() !== undefined) throw new BoxMistake('a parent for new content')
    sendFile(call, this.#writes.write(call, call.route.id, said?.text('name'), timesOf(said), content), fields, 200)
  }

  #read(call: BoxCall) {
    const fields = call.fields('file')
    const secret = call.text('upload_session_id')
    if (secret !== undefined && !this.#secrets.has(secret)) throw new BoxMistake('an upload URL that was changed')
    const { attributes, content } = readMultipart(call.request)
    const said = attributes === undefined ? undefined : new BoxBody(attributes, ['name', 'parent', ...TIME_NAMES])
    const digest = call.header('content-md5')
    // Despite its name, it is a SHA-1.
    if (digest !== undefined && !/^[0-9a-f]{40}$/i.test(digest)) throw new BoxMistake(`the content-md5 ${digest}`)
    if (digest !== undefined && digest.toLowerCase() !== sha1Of(content, 'hex')) {
      throw new BoxFailure({ code: 'bad_digest' })
    }
    return { fields, said, content }
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

function placeOf(said: BoxBody) {
  const parent = said.parent()
  if (parent === undefined) throw new BoxMistake('no parent')
  return { name: said.requiredText('name'), parent }
}
