import { Client, type Context, type Middleware } from '@microsoft/microsoft-graph-client'
import type { Drive, DriveItem, Site, UploadSession } from '@microsoft/microsoft-graph-types'
import type { Test } from 'tap'
import { sendRequest, type RequestOptions } from '../../support/dav/requests.ts'
import { FAKE_GRAPH_TOKEN, FakeGraph, type FakeGraphOptions } from './fake-graph.ts'
import type { GraphErrorBody } from './failure.ts'
import type { DOWNLOAD_URL } from './select.ts'

const OCTET_STREAM = { 'content-type': 'application/octet-stream' }
const JSON_TYPE = { 'content-type': 'application/json' }
const TEXT_TYPE = { 'content-type': 'text/plain' }

/** Any response of the Graph. */
export type GraphJson = DriveItem &
  UploadSession &
  Partial<GraphErrorBody> & {
    value?: (DriveItem & Site & Drive)[]
    '@odata.nextLink'?: string
    '@odata.deltaLink'?: string
    '@odata.count'?: number
    [DOWNLOAD_URL]?: string
  }

/** Connects the official client, which supports only HTTPS, with the fake. Adds the token to Graph requests only. */
class FakeGraphMiddleware implements Middleware {
  readonly #fake: FakeGraph

  constructor(fake: FakeGraph) {
    this.#fake = fake
  }

  async execute(context: Context): Promise<void> {
    const url = String(context.request).replace('https:', 'http:')
    const headers = new Headers(context.options?.headers)
    // `fetch` sets the length itself.
    headers.delete('content-length')
    if (url.startsWith(this.#fake.url)) headers.set('authorization', `Bearer ${FAKE_GRAPH_TOKEN}`)
    const response = await fetch(url, { ...context.options, headers })
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
    const { status } = response
    const body = isJson ? (await response.text()).replaceAll('http://127', 'https://127') : response.body
    context.response = new Response(body, { status, headers: response.headers })
  }
}

/** The official client, configured for the fake as far as it allows. */
export async function startWithClient(t: Test, options?: FakeGraphOptions) {
  const fake = await FakeGraph.start(t, options)
  const baseUrl = fake.url.replace('http:', 'https:')
  const client = Client.initWithMiddleware({ middleware: new FakeGraphMiddleware(fake), baseUrl })
  const { driveId, id: rootId } = fake.tree.root
  return { fake, client, root: `/drives/${driveId}/items/${rootId}` }
}

/** Sends requests without a client; `path` is relative to `/v1.0`. */
export async function startFakeGraph(t: Test, options?: FakeGraphOptions) {
  const fake = await FakeGraph.start(t, options)
  const ownId = fake.tree.root.driveId
  const go = async (url: string, requestOptions: RequestOptions = {}) => {
    const response = await sendRequest(url, requestOptions)
    const isJson = String(response.headers['content-type']).startsWith('application/json')
    const json = (isJson ? JSON.parse(response.text) : {}) as GraphJson
    return { ...response, json, code: json.error?.code }
  }
  const send = async (path: string, { headers, ...requestOptions }: RequestOptions = {}) =>
    go(path.startsWith('http') ? path : `${fake.url}/v1.0${path}`, {
      headers: { authorization: `Bearer ${FAKE_GRAPH_TOKEN}`, ...headers },
      ...requestOptions
    })
  const post = (path: string, body: unknown, headers = {}) =>
    send(path, { method: 'POST', body: JSON.stringify(body), headers: { ...JSON_TYPE, ...headers } })
  const put = (path: string, body: string, headers = {}) =>
    send(path, { method: 'PUT', body, headers: { ...TEXT_TYPE, ...headers } })
  const begin = async (path: string, item: object = {}) => {
    const { json } = await post(`${path}/createUploadSession`, { item })
    return json.uploadUrl ?? ''
  }
  const fragment = async (url: string, body: Buffer, start: number, total: number, headers = {}) => {
    const range = { 'content-range': `bytes ${start}-${start + body.length - 1}/${total}` }
    const response = await fetch(url, { method: 'PUT', body, headers: { ...range, ...OCTET_STREAM, ...headers } })
    const json = (await response.json()) as GraphJson
    return { status: response.status, json, code: json.error?.code }
  }
  /** Returns the names in a folder, page by page, following the links. */
  const pages = async (path: string, limit = 10) => {
    const found: string[] = []
    let next: string | undefined = path
    for (let count = 0; next !== undefined && count < limit; count++) {
      const { json }: { json: GraphJson } = await send(next)
      found.push((json.value ?? []).map(({ name }) => name).join())
      next = json['@odata.nextLink']
    }
    return found
  }
  return { fake, ownId, go, send, post, put, begin, fragment, pages }
}
