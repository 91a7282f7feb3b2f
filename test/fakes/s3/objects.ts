import { createHash, randomUUID } from 'node:crypto'

export interface FakeObject {
  readonly key: string
  readonly content: Buffer
  readonly etag: string
  readonly mimeType: string
  readonly modified: Date
  readonly storageClass: string
}

interface FakeUpload {
  readonly key: string
  readonly mimeType: string
  readonly parts: Map<number, Buffer>
}

/** An S3 error. */
export class S3Failure extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string) {
    super(code)
    this.status = status
    this.code = code
  }
}

export interface Conditions {
  readonly ifMatch: string | undefined
  readonly ifNoneMatch: string | undefined
}

/** The content of one bucket in memory, with the rules of S3: byte order, 5 MiB parts, conditional writes. */
export class FakeObjects {
  readonly objects = new Map<string, FakeObject>()
  readonly uploads = new Map<string, FakeUpload>()

  put(
    key: string,
    content: Buffer,
    properties: { mimeType?: string; storageClass?: string; parts?: number } = {},
    conditions?: Conditions
  ): FakeObject {
    this.#check(key, conditions)
    const digest = createHash('md5').update(content).digest('hex')
    const object: FakeObject = {
      key,
      content,
      etag: properties.parts === undefined ? `"${digest}"` : `"${digest}-${properties.parts}"`,
      mimeType: properties.mimeType ?? 'application/octet-stream',
      modified: new Date(),
      storageClass: properties.storageClass ?? 'STANDARD'
    }
    this.objects.set(key, object)
    return object
  }

  get(key: string): FakeObject {
    const object = this.objects.get(key)
    if (object === undefined) throw new S3Failure(404, 'NoSuchKey')
    return object
  }

  startUpload(key: string, mimeType: string): string {
    const id = randomUUID()
    this.uploads.set(id, { key, mimeType, parts: new Map() })
    return id
  }

  addPart(id: string, number: number, content: Buffer): string {
    this.#upload(id).parts.set(number, content)
    return `"${createHash('md5').update(content).digest('hex')}"`
  }

  complete(id: string, numbers: readonly number[], conditions: Conditions): FakeObject {
    const { key, mimeType, parts } = this.#upload(id)
    const contents = numbers.map((number) => {
      const part = parts.get(number)
      if (part === undefined) throw new S3Failure(400, 'InvalidPart')
      return part
    })
    if (contents.slice(0, -1).some((part) => part.length < 5 * 1024 * 1024)) throw new S3Failure(400, 'EntityTooSmall')
    const object = this.put(key, Buffer.concat(contents), { mimeType, parts: numbers.length }, conditions)
    this.uploads.delete(id)
    return object
  }

  abort(id: string): void {
    this.#upload(id)
    this.uploads.delete(id)
  }

  /** Returns the keys and common prefixes after `after` below `prefix`, in byte order. */
  list(prefix: string, delimiter: string, after: string, limit: number): { items: string[]; isTruncated: boolean } {
    const items = new Set<string>()
    for (const key of this.objects.keys()) {
      if (!key.startsWith(prefix)) continue
      const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
      items.add(at === -1 ? key : key.slice(0, at + delimiter.length))
    }
    const sorted = [...items].sort(byBytes).filter((item) => after === '' || byBytes(item, after) > 0)
    return { items: sorted.slice(0, limit), isTruncated: sorted.length > limit }
  }

  #upload(id: string): FakeUpload {
    const upload = this.uploads.get(id)
    if (upload === undefined) throw new S3Failure(404, 'NoSuchUpload')
    return upload
  }

  #check(key: string, conditions: Conditions | undefined): void {
    const existing = this.objects.get(key)
    if (conditions?.ifNoneMatch === '*' && existing !== undefined) throw new S3Failure(412, 'PreconditionFailed')
    if (conditions?.ifMatch === undefined) return
    if (existing === undefined) throw new S3Failure(404, 'NoSuchKey')
    if (existing.etag !== conditions.ifMatch) throw new S3Failure(412, 'PreconditionFailed')
  }
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
