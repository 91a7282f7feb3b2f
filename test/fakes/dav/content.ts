import type { ServerResponse } from 'node:http'
import { DavFailure } from './failure.ts'
import type { FakeDavRequest } from './request.ts'
import type { FakeFile } from './tree.ts'

/** Handles GET and HEAD of a file, with single ranges (RFC 9110, 14). */
export function sendFile(request: FakeDavRequest, response: ServerResponse, file: FakeFile, etag: string | undefined) {
  const { method, headers } = request
  const { content } = file
  response.setHeader('accept-ranges', 'bytes')
  response.setHeader('content-type', file.mimeType)
  response.setHeader('last-modified', file.modified.toUTCString())
  if (etag !== undefined) response.setHeader('etag', etag)
  const isCurrent = headers['if-range'] === undefined || (headers['if-range'] === etag && !etag.startsWith('W/'))
  const range = method === 'GET' && isCurrent ? headers.range : undefined
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? []
  if (range === undefined) {
    response.setHeader('content-length', content.length)
    response.end(method === 'HEAD' ? undefined : content)
    return
  }
  const start = first === '' ? Math.max(0, content.length - Number(last)) : Number(first)
  const end = first === '' || last === '' ? content.length - 1 : Math.min(Number(last), content.length - 1)
  if (start >= content.length || (last !== '' && first !== '' && Number(last) < start)) {
    throw new DavFailure(416, 'Range', { 'content-range': `bytes */${content.length}` })
  }
  response.setHeader('content-range', `bytes ${start}-${end}/${content.length}`)
  response.setHeader('content-length', end - start + 1)
  response.writeHead(206).end(content.subarray(start, end + 1))
}

/** Returns whether the conditions hold (RFC 9110, 13.1.1 and 13.1.2); `current` is the existing tag, if any. */
export function conditionsHold({ headers }: FakeDavRequest, exists: boolean, current: string | undefined): boolean {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers
  const opaque = (tag: string) => tag.replace(/^W\//, '')
  const isStrong = current !== undefined && !current.startsWith('W/')
  if (ifMatch !== undefined) return ifMatch === '*' ? exists : isStrong && tagsOf(ifMatch).includes(current)
  if (ifNoneMatch === undefined) return true
  if (ifNoneMatch === '*') return !exists
  return current === undefined || !tagsOf(ifNoneMatch).map(opaque).includes(opaque(current))
}

function tagsOf(header: string): string[] {
  return header.match(/(?:W\/)?"[^"]*"/g) ?? []
}
