import type { UploadedPart } from 'box-node-sdk/schemas/uploadedPart'
import type { BoxBody } from './body.ts'
import type { BoxCall } from './call.ts'
import { BoxFailure, BoxMistake } from './failure.ts'
import type { FakeBoxKnobs } from './knobs.ts'
import { BoxUploadSession, partResource, sha1Of, type BoxTarget } from './sessions.ts'
import type { Wire } from './wire.ts'
import { sendFile, TIME_NAMES, parseTimes, type FakeBoxWrites } from './writes.ts'

const PART_NAMES = ['part_id', 'offset', 'size', 'sha1']
const MAX_PARTS = 1000
const MAX_OFFSET = 10_000

/** Upload sessions, with a part size that Box chooses (its guide "Chunked uploads"). */
export class FakeBoxUploads {
  readonly #sessions = new Map<string, BoxUploadSession>()
  /** IDs of expired sessions. */
  readonly #expired = new Set<string>()
  readonly #knobs: FakeBoxKnobs
  readonly #writes: FakeBoxWrites
  readonly #now: () => Date

  constructor(knobs: FakeBoxKnobs, writes: FakeBoxWrites, now: () => Date) {
    this.#knobs = knobs
    this.#writes = writes
    this.#now = now
  }

  /** Sessions that are neither completed nor cancelled. */
  get open(): number {
    return this.#sessions.size
  }

  expire(): void {
    for (const id of this.#sessions.keys()) this.#expired.add(id)
    this.#sessions.clear()
  }

  createFileSession(call: BoxCall, origin: string): void {
    const body = call.json(['folder_id', 'file_size', 'file_name'])
    const location = { name: body.requiredText('file_name'), parent: body.requiredText('folder_id') }
    const size = this.#sizeOf(body)
    this.#writes.checkFile(call, location, size, 'folder_id')
    this.#createSession(call, { location }, size, origin)
  }

  createVersionSession(call: BoxCall, origin: string): void {
    const body = call.json(['file_size', 'file_name'])
    const name = body.text('file_name')
    const size = this.#sizeOf(body)
    const { id } = this.#writes.checkVersion(call, call.route.id, name, size)
    this.#createSession(call, { id, name }, size, origin)
  }

  get(call: BoxCall): void {
    call.send(200, this.#session(call).resource())
  }

  parts(call: BoxCall): void {
    const offset = call.integer('offset', 0, MAX_OFFSET, 0)
    const limit = call.integer('limit', 1, MAX_PARTS, MAX_PARTS)
    call.send(200, this.#session(call).partsPage(offset, limit))
  }

  abort(call: BoxCall): void {
    this.#sessions.delete(this.#session(call).id)
    call.response.writeHead(204).end()
  }

  put(call: BoxCall): void {
    const session = this.#session(call)
    const type = call.header('content-type') ?? ''
    if (type !== 'application/octet-stream') throw new BoxMistake(`a part of the content type ${type}`)
    const content = call.request.body ?? Buffer.alloc(0)
    const offset = offsetOf(session, call.header('content-range') ?? '', content.length)
    const digest = digestOf(call)
    const actual = sha1Of(content, 'base64')
    if (digest !== actual) throw digestMismatch('Part', actual, digest, 412)
    const existing = session.partAt(offset)
    if (existing !== undefined) {
      throw new BoxFailure({
        code: 'range_overlaps_existing_part',
        status: this.#knobs.overlapStatus,
        contextInfo: { conflicting_part: partResource(existing) }
      })
    }
    const part = partResource(session.store(offset, content))
    if (loseResponse(call, this.#knobs, 'lostParts')) return
    call.send(200, { part } satisfies Wire<UploadedPart>)
  }

  commit(call: BoxCall): void {
    const fields = call.fields('file')
    const session = this.#session(call)
    const body = call.json(['parts', 'attributes'])
    const digest = digestOf(call)
    checkParts(session, body)
    if (consume(this.#knobs, 'incompleteCommits')) throw new BoxFailure({ code: 'parts_mismatch' })
    const content = Buffer.concat(session.parts.map((part) => part.content))
    const actual = sha1Of(content, 'base64')
    if (digest !== actual) throw digestMismatch('File', actual, digest, 400)
    const times = parseTimes(body.object('attributes', TIME_NAMES))
    const { target } = session
    if ('location' in target && call.header('if-match') !== undefined) throw new BoxMistake('an etag for a new file')
    if ('location' in target) this.#writes.checkFile(call, target.location, content.length, 'folder_id')
    else this.#writes.checkVersion(call, target.id, target.name, content.length)
    if (consume(this.#knobs, 'pendingCommits')) {
      call.sendNotReady(this.#knobs.retryAfter)
      return
    }
    const node =
      'location' in target
        ? this.#writes.create(call, target.location, times, content)
        : this.#writes.write(call, target.id, target.name, times, content)
    this.#sessions.delete(session.id)
    if (!loseResponse(call, this.#knobs, 'lostCommits')) sendFile(call, node, fields)
  }

  #createSession(call: BoxCall, target: BoxTarget, size: number, origin: string): void {
    const { id: user } = call.person
    const session = new BoxUploadSession(user, target, size, this.#knobs.partSize, this.#now(), origin)
    this.#sessions.set(session.id, session)
    call.send(201, session.resource())
  }

  #sizeOf(body: BoxBody): number {
    const size = body.requiredInteger('file_size')
    if (size < this.#knobs.minSessionBytes) throw new BoxFailure({ code: 'file_size_too_small' })
    return size
  }

  #session({ route: { id }, person }: BoxCall): BoxUploadSession {
    const session = this.#sessions.get(id)
    if (this.#expired.has(id)) throw new BoxFailure({ code: 'session_expired' })
    if (session === undefined) throw new BoxFailure({ code: 'not_found', message: 'The upload session was not found' })
    if (session.user !== person.id) throw new BoxFailure({ code: 'forbidden' })
    return session
  }
}

/** Returns the offset of a part. A client that uses Box's part size is never refused. */
function offsetOf(session: BoxUploadSession, range: string, length: number): number {
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(range) ?? []
  const offset = Number(first)
  const hasFullLength = Number(last) - offset + 1 === length
  if (Number(total) !== session.size || !hasFullLength || session.lengthAt(offset) !== length) {
    throw new BoxMistake(`the range ${range} for ${length} bytes`, { status: 416 })
  }
  return offset
}

function digestOf(call: BoxCall): string {
  const header = call.header('digest') ?? ''
  const [, digest] = /^sha=([A-Za-z0-9+/]{27}=)$/.exec(header) ?? []
  if (digest === undefined) throw new BoxMistake(`the digest ${header}`)
  return digest
}

const digestMismatch = (subject: string, actual: string, expected: string, status: number) =>
  new BoxFailure({
    code: 'digest_mismatch',
    status,
    message: `${subject} digest was incorrect. Actual: ${actual} Expected: ${expected}`
  })

/** Checks that a commit lists all parts as Box has returned them. */
function checkParts(session: BoxUploadSession, body: BoxBody): void {
  const parts = body.objects('parts', PART_NAMES).map((part) => {
    const sha1 = part.text('sha1')
    const [part_id, offset, size] = [part.requiredText('part_id'), part.requiredInteger('offset'), part.integer('size')]
    return JSON.stringify({ part_id, offset, size, sha1 })
  })
  const expected = session.parts.map((part) => {
    const { part_id, offset, size, sha1 } = partResource(part)
    return [JSON.stringify({ part_id, offset, size, sha1 }), JSON.stringify({ part_id, offset, size })]
  })
  const isSame = expected.every((texts, index) => texts.includes(parts[index] ?? ''))
  if (expected.length !== session.totalParts || parts.length !== expected.length || !isSame) {
    throw new BoxFailure({ code: 'parts_mismatch' })
  }
}

type CounterName = 'pendingCommits' | 'incompleteCommits' | 'lostParts' | 'lostCommits'

function consume(knobs: FakeBoxKnobs, name: CounterName): boolean {
  if (knobs[name] <= 0) return false
  knobs[name]--
  return true
}

function loseResponse({ response }: BoxCall, knobs: FakeBoxKnobs, name: CounterName): boolean {
  if (!consume(knobs, name)) return false
  response.socket?.resetAndDestroy()
  return true
}
