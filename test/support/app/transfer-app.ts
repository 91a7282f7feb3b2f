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

export interface Ask {
  readonly user?: string
  readonly headers?: Record<string, string | number>
  readonly body?: string | Buffer
}

export interface Heard {
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
  begin(method: string, path: string, { user = 'ann', headers = {} }: Ask = {}): ClientRequest {
    const { port } = this.#app.server.address() as AddressInfo
    const all = { 'x-user': user, ...headers }
    return httpRequest({ host: '127.0.0.1', port, method, path, headers: all, agent: false }).on('error', () => {})
  }

  async ask(method: string, path: string, asked: Ask = {}): Promise<Heard> {
    const { body, headers = {} } = asked
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
    const request = this.begin(method, path, { ...asked, headers: { ...length, ...headers } })
    const answered = answerOf(request)
    request.end(body)
    return answered
  }

  get(path: string, headers: Ask['headers'] = {}): Promise<Heard> {
    return this.ask('GET', path, { headers })
  }
}

export async function answerOf(request: ClientRequest): Promise<Heard> {
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  const text = (await readBody(answer)).toString()
  return { status: answer.statusCode ?? 0, headers: answer.headers, text, json: () => JSON.parse(text) as unknown }
}

/** Returns `/cloud/PROVIDER/content?…`. */
export function contentPath(provider: string, query: Record<string, string> = {}): string {
  return `/cloud/${provider}/content?${new URLSearchParams(query).toString()}`
}

/** An app with transfers, in which ann has a connection to a WebDAV server. */
export async function davTransfers(t: Test, plugin: Partial<CloudStorageOptions> = {}, options: FakeDavOptions = {}) {
  const fake = await FakeDav.start(t, options)
  const providers = { webdav: { allowHosts: [new URL(fake.url).host] } }
  const testing = await testApp(t, { transfers: true, ...plugin, providers })
  const { app, as } = testing
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(app)
  const fields = { baseUrl: fake.url, username: FAKE_DAV_USER, password: FAKE_DAV_PASSWORD }
  const connectDav = async (user: string): Promise<string> => {
    const made = await as(user).send('POST', '/cloud/connections/webdav', fields)
    if (made.statusCode !== 201) throw new Error(made.body)
    return made.json<{ id: string }>().id
  }
  const connectionId = await connectDav('ann')
  fake.requests.length = 0
  return {
    ...testing,
    fake,
    client,
    connectDav,
    connectionId,
    put: (query: Record<string, string>, asked: Ask = {}) => client.ask('PUT', contentPath('webdav', query), asked),
    get: (query: Record<string, string>, headers: Ask['headers'] = {}) =>
      client.get(contentPath('webdav', query), headers),
    remove: (query: Record<string, string>, asked: Ask = {}) =>
      client.ask('DELETE', contentPath('webdav', query), asked),
    makeFolder: (body: object, query = '') =>
      client.ask('POST', `/cloud/webdav/folders${query}`, {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body)
      }),
    /** Returns the IDs in a folder, and whether the cache had them. */
    list: async (folder?: string) => {
      const query = folder === undefined ? '' : `?folder=${encodeURIComponent(folder)}`
      const answer = await client.get(`/cloud/webdav/listing${query}`)
      const entries: readonly Entry[] = answer.status === 200 ? (answer.json() as Listing).entries : []
      return {
        status: answer.status,
        ids: entries.map(({ id }) => id),
        hit: /; hit/.test(String(answer.headers['cache-status']))
      }
    }
  }
}
