import type { Test } from 'tap'
import { sendRequest, type RequestOptions } from '../../support/dav/requests.ts'
import { FAKE_BOX_TOKEN, FakeBox, type FakeBoxOptions } from './fake-box.ts'

export const BOX_AUTHORIZATION = { authorization: `Bearer ${FAKE_BOX_TOKEN}` }
export const JSON_POST = { method: 'POST', headers: { 'content-type': 'application/json' } }

/** The members of responses that tests read. */
export interface BoxJson {
  readonly code?: string
  readonly id?: string
  readonly etag?: string | null
  readonly name?: string
  readonly entries?: readonly (BoxJson & { readonly type: string })[]
  readonly next_marker?: string | null
  readonly total_count?: number
  readonly context_info?: {
    readonly conflicts?: unknown
    readonly conflicting_part?: unknown
    readonly errors?: BoxJson[]
  }
  readonly part?: object
  readonly upload_url?: string
  readonly session_endpoints?: Readonly<Record<string, string>>
}

/** Sends requests without a client; a path is relative to `/2.0` or `/api/2.0`, or is an absolute URL. */
export async function startFakeBox(t: Test, options?: FakeBoxOptions) {
  const fake = await FakeBox.start(t, options)
  const send = async (
    path: string,
    query: Record<string, string> = {},
    { headers, ...requestOptions }: RequestOptions = {}
  ) => {
    const search = new URLSearchParams(query).toString()
    const url = path.startsWith('http') ? path : `${path.startsWith('/api') ? fake.uploadUrl : fake.url}${path}`
    const allHeaders = { ...(!url.startsWith(fake.contentUrl) && BOX_AUTHORIZATION), ...headers }
    const response = await sendRequest(`${url}${search === '' ? '' : `?${search}`}`, {
      headers: allHeaders,
      ...requestOptions
    })
    const hasJson = response.headers['content-type'] === 'application/json'
    const json = (hasJson ? JSON.parse(response.text) : {}) as BoxJson
    return { ...response, json, code: json.code }
  }
  const list = (query: Record<string, string> = {}, id = '0') => send(`/2.0/folders/${id}/items`, query)
  const names = async (query: Record<string, string> = {}, id = '0') =>
    (await list({ fields: 'name', ...query }, id)).json.entries?.map(({ name }) => name)
  return { fake, tree: fake.tree, send, list, names }
}
