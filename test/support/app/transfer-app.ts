import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { Entry, Listing } from '../../../src/core/entry.ts'
import type { CloudStorageOptions } from '../../../src/index.ts'
import { FAKE_DAV_PASSWORD, FAKE_DAV_USER } from '../../fakes/dav/auth.ts'
import { FakeDav, type FakeDavOptions } from '../../fakes/dav/fake-dav.ts'
import { testApp } from './app.ts'
import { readBody } from './read-body.ts'

export interface ClientRequestOptions {
  readonly user?: string
  readonly headers?: Record<string, string | number>
  readonly body?: string | Buffer
}

export interface ClientResponse {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
  readonly json: () => unknown
}

/** Sends requests to an app over a new socket each. */
export class Client {
  readonly #app: FastifyInstance

  constructor(app: FastifyInstance) {
    this.#app = app
  }

  /** Starts a request without sending its body yet. */
  startRequest(method: string, path: string, { user = 'ann', headers = {} }: ClientRequestOptions = {}): ClientRequest {
    const { port } = this.#app.server.address() as AddressInfo
    const allHeaders = { 'x-user': user, ...headers }
    return httpRequest({ host: '127.0.0.1', port, method, path, headers: allHeaders, agent: false }).on(
      'error',
      () => {}
    )
  }

  async send(method: string, path: string, requestOptions: ClientRequestOptions = {}): Promise<ClientResponse> {
    const { body, headers = {} } = requestOptions
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
    const request = this.startRequest(method, path, { ...requestOptions, headers: { ...length, ...headers } })
    const received = readResponse(request)
    request.end(body)
    return received
  }

  get(path: string, headers: ClientRequestOptions['headers'] = {}): Promise<ClientResponse> {
    return this.send('GET', path, { headers })
  }
}

export async function readResponse(request: ClientRequest): Promise<ClientResponse> {
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const text = (await readBody(response)).toString()
  return { status: response.statusCode ?? 0, headers: response.headers, text, json: () => JSON.parse(text) as unknown }
}

/** Returns `/cloud/PROVIDER/content?…`. */
export function contentPath(provider: string, query: Record<string, string> = {}): string {
  return `/cloud/${provider}/content?${new URLSearchParams(query).toString()}`
}

/** An app with transfers, in which ann has a connection to a WebDAV server. */
export async function davTransfers(t: Test, plugin: Partial<CloudStorageOptions> = {}, options: FakeDavOptions = {}) {
  const fake = await FakeDav.start(t, options)
  const providers = { webdav: { allowHosts: [new URL(fake.url).host] } }
  const base = await testApp(t, { transfers: true, ...plugin, providers })
  const { app, as } = base
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(app)
  const fields = { baseUrl: fake.url, username: FAKE_DAV_USER, password: FAKE_DAV_PASSWORD }
  const connectDav = async (user: string): Promise<string> => {
    const response = await as(user).send('POST', '/cloud/connections/webdav', fields)
    if (response.statusCode !== 201) throw new Error(response.body)
    return response.json<{ id: string }>().id
  }
  const connectionId = await connectDav('ann')
  fake.requests.length = 0
  return {
    ...base,
    fake,
    client,
    connectDav,
    connectionId,
    put: (query: Record<string, string>, requestOptions: ClientRequestOptions = {}) =>
      client.send('PUT', contentPath('webdav', query), requestOptions),
    get: (query: Record<string, string>, headers: ClientRequestOptions['headers'] = {}) =>
      client.get(contentPath('webdav', query), headers),
    remove: (query: Record<string, string>, requestOptions: ClientRequestOptions = {}) =>
      client.send('DELETE', contentPath('webdav', query), requestOptions),
    makeFolder: (body: object, query = '') =>
      client.send('POST', `/cloud/webdav/folders${query}`, {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body)
      }),
    /** Returns the IDs in a folder, and whether the cache had them. */
    list: async (folder?: string) => {
      const query = folder === undefined ? '' : `?folder=${encodeURIComponent(folder)}`
      const response = await client.get(`/cloud/webdav/listing${query}`)
      const entries: readonly Entry[] = response.status === 200 ? (response.json() as Listing).entries : []
      return {
        status: response.status,
        ids: entries.map(({ id }) => id),
        hit: /; hit/.test(String(response.headers['cache-status']))
      }
    }
  }
}
