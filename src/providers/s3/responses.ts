import { Readable } from 'node:stream'
import type { ListObjectsV2CommandOutput, ObjectStorageClass, S3Client } from '@aws-sdk/client-s3'
import type { Timeouts } from '../../core/stores.ts'
import { failure } from '../shared/errors.ts'
import { readXml, XmlError, type XmlHandler } from '../shared/xml-reader.ts'

/**
 * Limits of a response without object content. A page of 1000 keys of 1024 bytes, each byte percent-encoded, is about
 * 4 MiB, and has about 20 elements per key with three tokens each. The limit of bytes also bounds the CPU time.
 */
const XML_OPTIONS = {
  maxBytes: 6 * 1024 * 1024,
  maxDepth: 16,
  maxTokenLength: 64 * 1024,
  maxTokens: 200_000,
  invalidUtf8: 'refuse'
} as const
/** Deadline for completing a multipart upload: minutes, for the largest objects (AWS's documentation). */
export const COMPLETE_MS = 300_000

/** Commands with a result in the response body, and the elements that are used. */
const RESULT_ELEMENTS: ReadonlyMap<string | undefined, readonly string[]> = new Map([
  // Parsed here, see `readListing`.
  ['ListObjectsV2Command', []],
  ['CreateMultipartUploadCommand', ['UploadId']],
  ['CompleteMultipartUploadCommand', ['ETag']]
])
const ERROR_CODE = /^[\w-]{1,64}$/
/** RFC 3339, as in `2026-11-22T16:00:00.000Z`. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

/** The used part of the SDK's `HttpResponse`. */
interface SdkResponse {
  statusCode: number
  body?: unknown
  readonly headers: Readonly<Record<string, string>>
}

type Listing = Omit<ListObjectsV2CommandOutput, '$metadata'>

/**
 * Reads all response bodies except object content before the SDK does. The SDK's XML parser is synchronous, and
 * quadratic on some inputs (3.972.43 of `@aws-sdk/xml-builder`): one response of a user's endpoint would block the
 * event loop for minutes, and 6 MiB of plain elements still for half a second. Here a body is limited and parsed in
 * short turns. The SDK receives a short document with the elements that it needs; a listing is added to its output.
 */
export function readResponses(client: S3Client, timeouts: Timeouts): void {
  const listings = new WeakMap<object, Listing>()
  // Innermost, so that no other middleware, including the SDK's own, receives the response before.
  client.middlewareStack.add(
    (next, { commandName = '' }) =>
      async (args) => {
        const result = await next(args)
        const response = result.response as SdkResponse
        const isContent = commandName === 'GetObjectCommand' && response.statusCode < 300
        if (isContent || !(response.body instanceof Readable)) return result
        const timeoutMs = commandName === 'CompleteMultipartUploadCommand' ? COMPLETE_MS : timeouts.totalMs
        const document = await readDocument(response.body, timeoutMs)
        if (commandName === 'ListObjectsV2Command' && document instanceof S3Document && isResult(document, response)) {
          listings.set(response, readListing(document))
          response.body = new Uint8Array()
        } else {
          response.body = new TextEncoder().encode(toMinimalBody(document, response, RESULT_ELEMENTS.get(commandName)))
        }
        return result
      },
    { step: 'deserialize', priority: 'low', name: 'readResponse' }
  )
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      const listing = listings.get(result.response as object)
      if (listing !== undefined) Object.assign(result, { output: { ...result.output, ...listing } })
      return result
    },
    { step: 'deserialize', priority: 'high', name: 'addListing' }
  )
}

/**
 * Returns `null` for an empty body.
 *
 * @throws StorageError for a document that exceeds a limit, whatever the status, or takes too long
 */
async function readDocument(body: Readable, timeoutMs: number): Promise<S3Document | 'malformed' | null> {
  const timer = setTimeout(() => body.destroy(failure('PROVIDER_TIMEOUT')), timeoutMs)
  const document = new S3Document()
  try {
    let received = 0
    for await (const bytes of readXml(body, XML_OPTIONS, document)) received += bytes
    return received === 0 ? null : document
  } catch (error) {
    if (!(error instanceof XmlError)) throw error
    if (error.kind === 'malformed') return 'malformed'
    throw failure('PROVIDER_ERROR', `S3 returned XML that was rejected. ${error.message}`)
  } finally {
    clearTimeout(timer)
  }
}

/** The elements below the root, and below the items of a listing. Anything deeper is ignored. */
class S3Document implements XmlHandler {
  root = ''
  readonly fields = new Map<string, string>()
  readonly contents: ReadonlyMap<string, string>[] = []
  readonly commonPrefixes: ReadonlyMap<string, string>[] = []
  #item = new Map<string, string>()
  /** The text of each open element, without that of its children. */
  readonly #texts: string[] = []

  onStart(name: string): void {
    if (this.#texts.push('') === 1) this.root = name
  }

  onText(text: string): void {
    this.#texts.push((this.#texts.pop() ?? '') + text)
  }

  onEnd(name: string): void {
    const text = this.#texts.pop() ?? ''
    const depth = this.#texts.length
    if (depth === 2) {
      this.#item.set(name, text)
    } else if (depth === 1) {
      if (name === 'Contents') this.contents.push(this.#item)
      else if (name === 'CommonPrefixes') this.commonPrefixes.push(this.#item)
      else this.fields.set(name, text)
      this.#item = new Map()
    }
  }
}

function isResult(document: S3Document, { statusCode }: SdkResponse): boolean {
  return statusCode < 300 && document.root !== 'Error'
}

/** @throws an error like the SDK's for an error page; StorageError `PROVIDER_ERROR` for a result that is not XML */
function toMinimalBody(
  document: S3Document | 'malformed' | null,
  response: SdkResponse,
  elementNames: readonly string[] | undefined
): string {
  if (document === null) return ''
  if (document instanceof S3Document && document.root === 'Error') {
    // The SDK treats one with status 200 as a 503: CompleteMultipartUpload sends its status long before it fails.
    const code = document.fields.get('Code') ?? ''
    return element('Error', ERROR_CODE.test(code) ? element('Code', code) : '')
  }
  if (response.statusCode >= 300) throw new NonS3ErrorResponse(response)
  if (elementNames === undefined) return ''
  if (document === 'malformed') throw failure('PROVIDER_ERROR', 'S3 returned a body that is not XML')
  const elements = elementNames.map((name) => [name, document.fields.get(name)] as const)
  return element(
    'Result',
    elements.map(([name, text]) => (text === undefined ? '' : element(name, escape(text)))).join('')
  )
}

/** An error with a body that is not S3's: it has a status, but no `$fault`, unlike the SDK's exceptions. */
class NonS3ErrorResponse extends Error {
  readonly $metadata: { readonly httpStatusCode: number; readonly requestId: string | undefined }
  declare readonly $response: SdkResponse

  constructor(response: SdkResponse) {
    super('The response is not an S3 error')
    this.$metadata = { httpStatusCode: response.statusCode, requestId: response.headers['x-amz-request-id'] }
    Object.defineProperty(this, '$response', { value: response })
  }
}

/** @throws StorageError `PROVIDER_ERROR` for values of a wrong type */
function readListing({ root, fields, contents, commonPrefixes }: S3Document): Listing {
  const isTruncated = fields.get('IsTruncated')
  if (root !== 'ListBucketResult' || !(isTruncated === 'true' || isTruncated === 'false')) {
    throw failure('PROVIDER_ERROR', 'S3 returned 200 with a body that is not a listing')
  }
  return {
    IsTruncated: isTruncated === 'true',
    NextContinuationToken: fields.get('NextContinuationToken'),
    EncodingType: fields.get('EncodingType') === 'url' ? 'url' : undefined,
    Contents: contents.map((item) => ({
      Key: item.get('Key'),
      Size: readSize(item.get('Size')),
      LastModified: readTime(item.get('LastModified')),
      ETag: item.get('ETag'),
      StorageClass: item.get('StorageClass') as ObjectStorageClass | undefined
    })),
    CommonPrefixes: commonPrefixes.map((item) => ({ Prefix: item.get('Prefix') }))
  }
}

function readSize(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,20}$/.test(text)) throw failure('PROVIDER_ERROR', 'S3 listed an invalid size')
  return Number(text)
}

function readTime(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  if (!TIME.test(text)) throw failure('PROVIDER_ERROR', 'S3 listed an invalid time')
  return new Date(text)
}

function element(name: string, content: string): string {
  return `<${name}>${content}</${name}>`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
