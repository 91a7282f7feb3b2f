import { request } from 'undici'

export interface RequestOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Sends a request and reads the whole response. */
export async function sendRequest(url: string, { method = 'GET', headers = {}, body }: RequestOptions = {}) {
  const response = await request(url, { method, headers, body: body ?? null })
  return { status: response.statusCode, headers: response.headers, text: await response.body.text() }
}

export const basicAuth = (username: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
})

const PROPFIND_BODY =
  '<d:propfind xmlns:d="DAV:"><d:prop><d:getetag/><d:resourcetype/><x xmlns="urn:x"/></d:prop></d:propfind>'

/** A PROPFIND for three properties, one of which no server supports. */
export const propfind = (
  auth: Readonly<Record<string, string>>,
  extraHeaders: Readonly<Record<string, string>> = {}
): RequestOptions => ({
  method: 'PROPFIND',
  headers: { 'content-type': 'application/xml; charset=utf-8', depth: '1', ...auth, ...extraHeaders },
  body: PROPFIND_BODY
})

/** Returns the hrefs of a multistatus, unparsed. */
export const hrefsIn = (xml: string) => [...xml.matchAll(/<(?:\w+:)?href>([^<]*)</g)].map((match) => match[1])

/** Removes and returns the mistakes that a fake has recorded, so that they do not fail the test. */
export function takeMistakes({ mistakes }: { mistakes: string[] }): string[] {
  return mistakes.splice(0).map((mistake) => mistake.replace(/^.*?: /, ''))
}
