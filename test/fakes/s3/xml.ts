import type { ServerResponse } from 'node:http'
import type { FakeObject } from './objects.ts'

/** Returns a page of a listing, in `encoding-type=url`. Common prefixes are plain strings. */
export function listing(
  items: readonly (string | Pick<FakeObject, 'key' | 'etag' | 'modified' | 'storageClass' | 'content'>)[],
  { next, isTruncated = next !== undefined }: { next?: string; isTruncated?: boolean } = {}
): string {
  const body = items.map((item) => {
    if (typeof item === 'string') return `<CommonPrefixes><Prefix>${encodeKey(item)}</Prefix></CommonPrefixes>`
    return (
      `<Contents><Key>${encodeKey(item.key)}</Key><Size>${item.content.length}</Size>` +
      `<LastModified>${item.modified.toISOString()}</LastModified><ETag>${escapeXml(item.etag)}</ETag>` +
      `<StorageClass>${item.storageClass}</StorageClass></Contents>`
    )
  })
  const token = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`
  const head = `<EncodingType>url</EncodingType><IsTruncated>${isTruncated}</IsTruncated>${token}`
  return xmlDocument('ListBucketResult', head + body.join(''))
}

export function sendXml(response: ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' }).end(xml)
}

export function sendError(method: string | undefined, response: ServerResponse, status: number, code: string): void {
  if (method === 'HEAD') response.writeHead(status).end()
  else sendXml(response, status, `<Error><Code>${code}</Code><Message>Bearer SECRET</Message></Error>`)
}

/** Encodes like Amazon: a space is `+`, a slash stays. */
function encodeKey(key: string): string {
  return encodeURIComponent(key).replaceAll('%2F', '/').replaceAll('%20', '+')
}

export function xmlDocument(name: string, content: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${name}>`
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
