import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { createGzip, gzipSync } from 'node:zlib'
import type { DavScript } from './dav/fake-dav.ts'
import type { FakeDavRequest } from './dav/request.ts'
import { escapeXml } from './dav/xml.ts'
import { resetWhenRead } from './reset.ts'

/** Responds to one request as a server should not. */
export type DavFault = (request: FakeDavRequest, response: ServerResponse) => void

export interface FaultScope {
  /** All requests by default. */
  readonly matching?: (request: FakeDavRequest) => boolean
  /** The number of matching requests to let through first. */
  readonly after?: number
  /** The number of matching requests that fail; all by default. */
  readonly times?: number
}

/** Returns a script for `FakeDav.script` or `earlyScript` that applies the fault to the first matching requests. */
export function faultScript(fault: DavFault, { matching = () => true, after = 0, times = Infinity }: FaultScope = {}) {
  let seen = 0
  const script: DavScript = (request, response) => {
    if (!matching(request)) return false
    seen++
    if (seen <= after || seen > after + times) return false
    fault(request, response)
    return true
  }
  return script
}

/** Combines scripts; the first one that applies wins. */
export function anyFault(...scripts: readonly DavScript[]): DavScript {
  return (request, response) => scripts.some((script) => script(request, response) === true)
}

/** Responds with 429, 503 and the like. `Retry-After` is a number of seconds, or a Date for an HTTP date. */
export function respondsWith(
  status: number,
  {
    retryAfter,
    headers = {},
    body = ''
  }: { retryAfter?: number | Date; headers?: OutgoingHttpHeaders; body?: string } = {}
): DavFault {
  const value = retryAfter instanceof Date ? retryAfter.toUTCString() : retryAfter
  return (_request, response) => {
    if (value !== undefined) response.setHeader('retry-after', value)
    response.writeHead(status, headers).end(body)
  }
}

export function redirects(location: string, status = 302): DavFault {
  return respondsWith(status, { headers: { location } })
}

/** Resets the connection before any response. */
export function resets(): DavFault {
  return (_request, response) => response.socket?.resetAndDestroy()
}

/** Never responds. */
export function hangs(): DavFault {
  return () => {}
}

export interface Truncation {
  readonly content: string | Buffer
  readonly afterBytes: number
  /** A Content-Length that is too large, or chunks without a last one. */
  readonly framing?: 'length' | 'chunked'
  /** How the connection ends; `hang` leaves it open. */
  readonly end?: 'reset' | 'close' | 'hang'
  readonly status?: number
  readonly headers?: OutgoingHttpHeaders
}

/** Sends the beginning of a body. */
export function truncates(truncation: Truncation): DavFault {
  const { afterBytes, framing = 'length', end = 'close', status = 200, headers = {} } = truncation
  const content = Buffer.from(truncation.content)
  return (_request, response) => {
    const { socket } = response
    response.writeHead(status, { ...(framing === 'length' && { 'content-length': content.length }), ...headers })
    response.flushHeaders()
    // Close the socket only after the kernel has the bytes.
    response.write(content.subarray(0, afterBytes), () => {
      if (end === 'close') socket?.destroy()
      else if (end === 'reset') void resetWhenRead(socket)
    })
  }
}

/** Sends a body byte by byte. */
export function sendsByteByByte(content: string | Buffer, { everyMs = 10, status = 200 } = {}): DavFault {
  const bytes = Buffer.from(content)
  return (_request, response) => {
    response.writeHead(status, { 'content-length': bytes.length })
    response.flushHeaders()
    void (async () => {
      for (let at = 0; at < bytes.length && !response.destroyed; at++) {
        response.write(bytes.subarray(at, at + 1))
        await setTimeout(everyMs)
      }
      response.end()
    })()
  }
}

const BOMB_BYTES = 300 * 1024 * 1024
let bomb: Promise<Buffer> | undefined

/** Sends 300 MB of spaces in 300 KB of gzip. Await it before the request: creating it takes a second, once. */
export async function gzipBomb(status = 207): Promise<DavFault> {
  bomb ??= makeBomb()
  const body = await bomb
  return (_request, response) => {
    response.writeHead(status, {
      'content-type': 'application/xml; charset=utf-8',
      'content-encoding': 'gzip',
      'content-length': body.length
    })
    response.end(body)
  }
}

async function makeBomb(): Promise<Buffer> {
  const gzip = createGzip({ level: 9 })
  const chunks: Buffer[] = []
  gzip.on('data', (chunk: Buffer) => chunks.push(chunk))
  const spaces = Buffer.alloc(1024 * 1024, ' ')
  for (let at = 0; at < BOMB_BYTES; at += spaces.length) {
    if (!gzip.write(spaces)) await new Promise((resolve) => gzip.once('drain', resolve))
  }
  gzip.end()
  await new Promise((resolve) => gzip.once('end', resolve))
  return Buffer.concat(chunks)
}

/** Sends a gzip body, whether or not the client has requested compression. */
export function gzipped(content: string | Buffer, status = 200, headers: OutgoingHttpHeaders = {}): DavFault {
  const body = gzipSync(content)
  return (_request, response) => {
    response.writeHead(status, { ...headers, 'content-encoding': 'gzip', 'content-length': body.length }).end(body)
  }
}

/** Sends an endless multistatus, as fast as it is read. */
export function endlessXml(): DavFault {
  return (_request, response) => {
    response.writeHead(207, { 'content-type': 'application/xml; charset=utf-8' })
    response.write('<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:">')
    let count = 0
    const writeMore = () => {
      while (!response.destroyed && response.write(`${responseElement(`/dav/endless-${count++}`)}\n`.repeat(64)));
    }
    response.on('drain', writeMore)
    writeMore()
  }
}

/** Sends any text as the body of a multistatus. */
export function xml(body: string, status = 207): DavFault {
  return respondsWith(status, { headers: { 'content-type': 'application/xml; charset=utf-8' }, body })
}

/** Bodies that are not XML or not a multistatus. */
export const INVALID_XML: Readonly<Record<string, string>> = {
  empty: '',
  'not closed': '<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"><D:response>',
  crossed: '<D:multistatus xmlns:D="DAV:"><D:response></D:multistatus></D:response>',
  text: 'no XML at all',
  'another root': '<D:prop xmlns:D="DAV:"><D:response/></D:prop>',
  'another namespace': '<multistatus xmlns="urn:other"><response/></multistatus>',
  'no href': '<D:multistatus xmlns:D="DAV:"><D:response><D:propstat/></D:response></D:multistatus>'
}

/** Sends nested entities that expand to gigabytes. */
export function billionLaughs(): DavFault {
  const levels = Array.from({ length: 10 }, (_, level) => `<!ENTITY l${level + 1} "${`&l${level};`.repeat(10)}">`)
  const doctype = `<!DOCTYPE D:multistatus [<!ENTITY l0 "ha">${levels.join('')}]>`
  return xml(`<?xml version="1.0"?>${doctype}<D:multistatus xmlns:D="DAV:">&l10;</D:multistatus>`)
}

/** Sends an entity that refers to a file on the reader's machine. */
export function externalEntity(uri = 'file:///etc/passwd'): DavFault {
  const doctype = `<!DOCTYPE D:multistatus [<!ENTITY file SYSTEM "${uri}">]>`
  return xml(`<?xml version="1.0"?>${doctype}<D:multistatus xmlns:D="DAV:">&file;</D:multistatus>`)
}

/** Sends the page of a captive portal, or of a server's own sign-in. */
export function htmlPage(status = 200): DavFault {
  const body = '<!DOCTYPE html><html><head><title>Sign in</title></head><body><p>Sign in<br></body></html>'
  return respondsWith(status, { headers: { 'content-type': 'text/html; charset=utf-8' }, body })
}

/** Sends a multistatus with these unparsed hrefs: files of 4 bytes, or collections if they end with a slash. */
export function hrefs(values: readonly string[]): DavFault {
  return xml(
    `<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">${values.map(responseElement).join('')}</D:multistatus>`
  )
}

/** Returns hrefs that a listing of `path` must not contain, by what is wrong with them. `path` ends with a slash. */
export function hostileHrefs(path: string): Readonly<Record<string, string>> {
  return {
    'a foreign host': `http://attacker.example${path}child`,
    'a foreign host without a scheme': `//attacker.example${path}child`,
    'another scheme': `file://${path}child`,
    'another collection': '/elsewhere/child',
    'a sibling with the same beginning': `${path.slice(0, -1)}-other/child`,
    'climbing by dots': `${path}../child`,
    'climbing by encoded dots': `${path}%2e%2e/child`,
    'climbing by an encoded slash': `${path}..%2fchild`,
    'an encoded slash': `${path}a%2fb`,
    'a dot': `${path}%2e`,
    'a NUL': `${path}a%00b`,
    'no UTF-8': `${path}%ff`,
    'no encoding at all': `${path}100%`,
    empty: '',
    'deeper than a child': `${path}child/grandchild`
  }
}

function responseElement(href: string): string {
  const kind = href.endsWith('/') ? '<D:resourcetype><D:collection/></D:resourcetype>' : '<D:resourcetype/>'
  return (
    `<D:response><D:href>${escapeXml(href)}</D:href><D:propstat><D:prop>${kind}` +
    '<D:getcontentlength>4</D:getcontentlength><D:getetag>"fake"</D:getetag>' +
    '<D:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</D:getlastmodified></D:prop>' +
    '<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>'
  )
}
