import { request } from 'undici'

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Sends one request, and reads its answer to the end. */
export async function ask(url: string, { method = 'GET', headers = {}, body }: Asked = {}) {
  const answer = await request(url, { method, headers, body: body ?? null })
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() }
}

export const basic = (username: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
})

const NAMES = '<d:propfind xmlns:d="DAV:"><d:prop><d:getetag/><d:resourcetype/><x xmlns="urn:x"/></d:prop></d:propfind>'

/** A PROPFIND for three properties, one of which no server has. */
export const propfind = (
  auth: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {}
): Asked => ({
  method: 'PROPFIND',
  headers: { 'content-type': 'application/xml; charset=utf-8', depth: '1', ...auth, ...more },
  body: NAMES
})

/** Every href of a multistatus, as it stands there. */
export const hrefsIn = (xml: string) => [...xml.matchAll(/<(?:\w+:)?href>([^<]*)</g)].map((match) => match[1])

/** What a fake has recorded, which is then no longer a reason to fail. */
export function takeMistakes({ mistakes }: { mistakes: string[] }): string[] {
  return mistakes.splice(0).map((mistake) => mistake.replace(/^.*?: /, ''))
}
