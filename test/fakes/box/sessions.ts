import { createHash, randomBytes } from 'node:crypto'
import type { UploadPart } from 'box-node-sdk/schemas/uploadPart'
import type { UploadParts } from 'box-node-sdk/schemas/uploadParts'
import type { UploadSession } from 'box-node-sdk/schemas/uploadSession'
import { boxTime } from './resource.ts'
import type { Wire } from './wire.ts'
import type { BoxLocation } from './writes.ts'

const WEEK_MS = 7 * 24 * 60 * 60 * 1000

/** An existing file, or the name and parent of a new one. */
export type BoxTarget = { readonly location: BoxLocation } | { readonly id: string; readonly name: string | undefined }

export interface StoredPart {
  readonly id: string
  readonly offset: number
  readonly content: Buffer
  /** In hex. */
  readonly sha1: string
}

/** An upload session with the parts received so far. */
export class BoxUploadSession {
  readonly id = randomBytes(16).toString('hex').toUpperCase()
  readonly user: string
  readonly target: BoxTarget
  readonly size: number
  readonly partSize: number
  readonly #parts = new Map<number, StoredPart>()
  readonly #expires: Date
  readonly #url: string

  /** @param origin the upload origin */
  constructor(user: string, target: BoxTarget, size: number, partSize: number, now: Date, origin: string) {
    this.user = user
    this.target = target
    this.size = size
    this.partSize = partSize
    this.#expires = new Date(now.getTime() + WEEK_MS)
    this.#url = `${origin}/api/2.0/files/upload_sessions/${this.id}`
  }

  get totalParts(): number {
    return Math.ceil(this.size / this.partSize)
  }

  /** In file order. */
  get parts(): readonly StoredPart[] {
    return [...this.#parts.values()].sort((a, b) => a.offset - b.offset)
  }

  partAt(offset: number): StoredPart | undefined {
    return this.#parts.get(offset)
  }

  /** Returns the required length of the part at an offset; undefined if no part begins there. */
  lengthAt(offset: number): number | undefined {
    if (offset % this.partSize !== 0 || offset >= this.size) return undefined
    return Math.min(this.partSize, this.size - offset)
  }

  store(offset: number, content: Buffer): StoredPart {
    const part = { id: randomBytes(4).toString('hex').toUpperCase(), offset, content, sha1: sha1Of(content, 'hex') }
    this.#parts.set(offset, part)
    return part
  }

  resource(): Wire<UploadSession> {
    return {
      id: this.id,
      type: 'upload_session',
      session_expires_at: boxTime(this.#expires),
      part_size: this.partSize,
      total_parts: this.totalParts,
      num_parts_processed: this.#parts.size,
      session_endpoints: {
        upload_part: this.#url,
        commit: `${this.#url}/commit`,
        abort: this.#url,
        list_parts: `${this.#url}/parts`,
        status: this.#url,
        log_event: `${this.#url}/log`
      }
    }
  }

  partsPage(offset: number, limit: number): Wire<UploadParts> {
    const { parts } = this
    return {
      entries: parts.slice(offset, offset + limit).map(partResource),
      total_count: parts.length,
      offset,
      limit,
      order: [{ by: 'offset', direction: 'ASC' }]
    }
  }
}

export function partResource({ id, offset, content, sha1 }: StoredPart): Wire<UploadPart> {
  return { part_id: id, offset, size: content.length, sha1 }
}

export function sha1Of(content: Buffer, encoding: 'hex' | 'base64'): string {
  return createHash('sha1').update(content).digest(encoding)
}
