import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

/** An answer that is no success. */
export class DavFailure extends Error {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  /** A precondition's name in XML, as `propfind-finite-depth`. */
  readonly condition: string | undefined
  /** The PHP class in the body. */
  readonly exception: string

  constructor(
    status: number,
    message: string,
    headers: OutgoingHttpHeaders = {},
    condition?: string,
    exception = 'Fake'
  ) {
    super(message)
    this.status = status
    this.headers = headers
    this.condition = condition
    this.exception = exception
  }
}

/** What nobody should ask: it is recorded, and fails the test that caused it. */
export class DavMistake extends DavFailure {}

/** Sends the failure with a body as sabre's. It has a secret in it, which must not come out of our side again. */
export function sendFailure(method: string | undefined, response: ServerResponse, failure: DavFailure): void {
  const condition = failure.condition === undefined ? '' : `<d:${failure.condition}/>`
  if (failure.status === 304) {
    response.writeHead(304, failure.headers).end()
    return
  }
  const text = failure.message.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const body =
    '<?xml version="1.0" encoding="utf-8"?><d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">' +
    `${condition}<s:exception>${failure.exception}</s:exception><s:message>${text} Bearer SECRET</s:message></d:error>`
  const headers = { 'content-type': 'application/xml; charset=utf-8', 'content-length': Buffer.byteLength(body) }
  response.writeHead(failure.status, { ...headers, ...failure.headers })
  response.end(method === 'HEAD' ? undefined : body)
}
