import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

/** An error response. */
export class DavFailure extends Error {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  /** The name of a precondition in XML, such as `propfind-finite-depth`. */
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

/** A request that no client should send: it is recorded, and fails the test. */
export class DavMistake extends DavFailure {}

/** Sends the failure with a body like sabre's. It contains a secret, which the plugin must not pass on. */
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
