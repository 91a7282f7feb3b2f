import { request } from 'undici'

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Sends a request and reads the whole response. */
export async function ask(url: string, { method = 'GET', headers = {}, body }: Asked = {}) {
  const answer = await request(url, { method, headers, body: body ?? null })
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() }
}

export const basic = (username: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
})

const NAMES = '<d:propfind xmlns:d="DAV:"><d:prop><d:getetag/><d:resourcetype/><x xmlns="urn:x"/></d:prop></d:propfind>'

/** A PROPFIND for three properties, one of which no server supports. */
export const propfind = (
  auth: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {}
): Asked => ({
  method: 'PROPFIND',
  headers: { 'content-type': 'application/xml; charset=utf-8', depth: '1', ...auth, ...more },
  body: NAMES
})

/** Returns the hrefs of a multistatus, unparsed. */
export const hrefsIn = (xml: string) => [...xml.matchAll(/<(?:\w+:)?href>([^<]*)</g)].map((match) => match[1])

/** Removes and returns the mistakes that a fake has recorded, so that they do not fail the test. */
export function takeMistakes({ mistakes }: { mistakes: string[] }): string[] {
  return mistakes.splice(0).map((mistake) => mistake.replace(/^.*?: /, ''))
}
