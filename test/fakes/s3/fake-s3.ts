import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { readBody } from '../../support/app/read-body.ts'
import { FakeServer } from '../fake-server.ts'
import { FakeObjects, S3Failure, type FakeObject } from './objects.ts'
import { escapeXml, listing, sendError, sendXml, xmlDocument } from './xml.ts'

export interface FakeS3Request {
  /** `ListObjectsV2`, `GetObject` … */
  readonly operation: string
  readonly method: string
  /** The decoded key of the object; empty for the bucket itself. */
  readonly key: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** Responds in place of the fake and returns true, or leaves the request to the fake. */
export type S3Script = (request: FakeS3Request, response: ServerResponse) => boolean | undefined

export const FAKE_BUCKET = 'fake-bucket'
export const FAKE_CREDENTIALS = { accessKeyId: 'AKFAKE', secretAccessKey: 'SKFAKE' }

/** Allowed parameters of each operation. Others are mistakes of the backend or of the SDK. */
const OPERATIONS: Readonly<Record<string, readonly string[]>> = {
  HeadBucket: [],
  ListObjectsV2: ['list-type', 'prefix', 'delimiter', 'max-keys', 'continuation-token', 'encoding-type'],
  HeadObject: [],
  GetObject: ['response-content-disposition', 'x-id'],
  PutObject: ['x-id'],
  DeleteObject: ['x-id'],
  CreateMultipartUpload: ['uploads'],
  UploadPart: ['partNumber', 'uploadId', 'x-id'],
  CompleteMultipartUpload: ['uploadId'],
  AbortMultipartUpload: ['uploadId', 'x-id']
}

const AUTHORIZATION = new RegExp(
  `^AWS4-HMAC-SHA256 Credential=${FAKE_CREDENTIALS.accessKeyId}/\\d{8}/us-east-1/s3/aws4_request, ` +
    'SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, Signature=[0-9a-f]{64}$'
)
const SIGNED_QUERY = /^(?:X-Amz-(?:Algorithm|Content-Sha256|Credential|Date|Expires|Signature|SignedHeaders))$/

/**
 * An in-memory S3 on a real socket. It checks requests strictly and can respond as scripted. It tests the client side
 * only; the same suite against real servers tests that its rules are those of S3.
 */
export class FakeS3 extends FakeServer {
  readonly store = new FakeObjects()
  readonly requests: FakeS3Request[] = []
  script: S3Script = () => undefined
  /** Like OpenStack Swift: all conditional completions get a 412, whatever the object; the upload stays open. */
  refusesConditionalCompletion = false
  readonly #tokens = new Map<string, string>()

  private constructor() {
    super()
  }

  static async start(t: Test): Promise<FakeS3> {
    const fake = new FakeS3()
    await fake.listen(t, 'S3')
    return fake
  }

  get endpoint(): string {
    return this.origin
  }

  operations(): string[] {
    return this.requests.map(({ operation }) => operation)
  }

  protected override async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {})
    try {
      const request = await this.#read(message)
      this.requests.push(request)
      if (this.script(request, response) !== true) this.#handle(request, response)
    } catch (error) {
      if (error instanceof S3Failure) sendError(message.method, response, error.status, error.code)
      else message.socket.destroy()
    }
  }

  async #read(message: IncomingMessage): Promise<FakeS3Request> {
    const { method = '', headers } = message
    const [path = '', search = ''] = (message.url ?? '').split('?')
    const query = new URLSearchParams(search)
    const [, bucket, ...segments] = path.split('/')
    const key = segments.map(decodeURIComponent).join('/')
    const operation = operationOf(method, key, query)
    const body = await readBody(message)

    const known = OPERATIONS[operation]
    const isSigned = query.has('X-Amz-Signature') || AUTHORIZATION.test(headers.authorization ?? '')
    const unknown = [...query.keys()].filter((name) => !(known?.includes(name) ?? false) && !SIGNED_QUERY.test(name))
    for (const [isWrong, mistake] of [
      [known === undefined, 'an unknown operation'],
      [unknown.length > 0, `the query ${unknown.join()}`],
      [!isSigned, `the authorization ${headers.authorization}`],
      [bucket !== FAKE_BUCKET, `the bucket ${bucket}`],
      [headers['transfer-encoding'] !== undefined, 'a body of unknown length'],
      [headers.expect !== undefined, 'to be told to continue'],
      [/^\/?(?:.*\/)?\.\.?(?:\/|$)/.test(key), 'a key with dots']
    ] as const) {
      if (!isWrong) continue
      this.mistakes.push(`${method} ${message.url} (${operation}): ${mistake}`)
      throw new S3Failure(400, 'Mistake')
    }
    return { operation, method, key, query, headers, body }
  }

  #handle(request: FakeS3Request, response: ServerResponse): void {
    const { operation, key, query, headers, body } = request
    const mimeType = headers['content-type'] ?? 'application/octet-stream'
    const conditions = { ifMatch: headers['if-match'], ifNoneMatch: headers['if-none-match'] }
    const uploadId = query.get('uploadId') ?? ''
    switch (operation) {
      case 'HeadBucket':
        response.end()
        return
      case 'ListObjectsV2':
        sendXml(response, 200, this.#list(query))
        return
      case 'HeadObject':
      case 'GetObject':
        sendObject(request, response, this.store.get(key))
        return
      case 'PutObject':
        response.setHeader('etag', this.store.put(key, body, { mimeType }, conditions).etag)
        response.end()
        return
      case 'DeleteObject':
        this.store.objects.delete(key)
        response.writeHead(204).end()
        return
      case 'CreateMultipartUpload':
        sendXml(
          response,
          200,
          xmlDocument('InitiateMultipartUploadResult', `<UploadId>${this.store.startUpload(key, mimeType)}</UploadId>`)
        )
        return
      case 'UploadPart':
        response.setHeader('etag', this.store.addPart(uploadId, Number(query.get('partNumber')), body))
        response.end()
        return
      case 'CompleteMultipartUpload': {
        const isConditional = conditions.ifMatch !== undefined || conditions.ifNoneMatch !== undefined
        if (this.refusesConditionalCompletion && isConditional) throw new S3Failure(412, 'PreconditionFailed')
        const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)</g)].map((match) => Number(match[1]))
        const { etag } = this.store.complete(uploadId, numbers, conditions)
        sendXml(response, 200, xmlDocument('CompleteMultipartUploadResult', `<ETag>${escapeXml(etag)}</ETag>`))
        return
      }
      default:
        this.store.abort(uploadId)
        response.writeHead(204).end()
    }
  }

  #list(query: URLSearchParams): string {
    const token = query.get('continuation-token')
    const after = token === null ? '' : this.#tokens.get(token)
    if (after === undefined) throw new S3Failure(400, 'InvalidArgument')
    const limit = Number(query.get('max-keys') ?? '1000')
    const prefix = query.get('prefix') ?? ''
    const delimiter = query.get('delimiter') ?? ''
    const { items, isTruncated } = this.store.list(prefix, delimiter, after, limit)
    let next: string | undefined
    if (isTruncated) {
      next = `token-${this.#tokens.size}`
      this.#tokens.set(next, items.at(-1) ?? '')
    }
    const isCommon = (item: string) => delimiter !== '' && item !== prefix && item.endsWith(delimiter)
    const listed = items.map((item) => (isCommon(item) ? item : this.store.get(item)))
    return listing(listed, next === undefined ? {} : { next })
  }
}

function sendObject({ method, headers, query }: FakeS3Request, response: ServerResponse, object: FakeObject): void {
  const { content } = object
  const disposition = query.get('response-content-disposition')
  if (disposition !== null) response.setHeader('content-disposition', disposition)
  response.setHeader('etag', object.etag)
  response.setHeader('last-modified', object.modified.toUTCString())
  response.setHeader('content-type', object.mimeType)
  if (object.storageClass !== 'STANDARD') response.setHeader('x-amz-storage-class', object.storageClass)
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? '') ?? []
  if (first === undefined) {
    response.setHeader('content-length', content.length)
    response.end(method === 'HEAD' ? undefined : content)
    return
  }
  const start = first === '' ? Math.max(0, content.length - Number(last)) : Number(first)
  const end = first === '' || last === '' ? content.length - 1 : Math.min(Number(last), content.length - 1)
  if (start >= content.length) throw new S3Failure(416, 'InvalidRange')
  response.writeHead(206, {
    'content-range': `bytes ${start}-${end}/${content.length}`,
    'content-length': end - start + 1
  })
  response.end(content.subarray(start, end + 1))
}

function operationOf(method: string, key: string, query: URLSearchParams): string {
  if (key === '') return method === 'HEAD' ? 'HeadBucket' : method === 'GET' ? 'ListObjectsV2' : method
  if (method === 'HEAD') return 'HeadObject'
  if (method === 'GET') return 'GetObject'
  if (method === 'PUT') return query.has('partNumber') ? 'UploadPart' : 'PutObject'
  if (method === 'POST') return query.has('uploads') ? 'CreateMultipartUpload' : 'CompleteMultipartUpload'
  if (method === 'DELETE') return query.has('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject'
  return method
}
