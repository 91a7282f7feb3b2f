import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { AppConfig } from '../../../server/config.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import type { Database } from '../../../src/db/open-database.ts'
import type { DocumentView } from '../../../server/documents/store.ts'
import { FAKE_BUCKET, FAKE_CREDENTIALS, FakeS3 } from '../../fakes/s3/fake-s3.ts'
import { serverApp } from './server-app.ts'
import { type ClientRequestOptions, Client, type ClientResponse } from './transfer-app.ts'

interface DocumentsOptions {
  readonly config?: Partial<AppConfig>
  readonly backend?: StorageBackend
  readonly database?: (database: Database) => Database
}

export interface DocumentList {
  readonly documents: readonly DocumentView[]
  readonly page: { readonly next: string | null }
  readonly uploads: { readonly maxBytes: number | null } | null
}

/** The ready-made server on a socket, with its documents on disk and with clients. */
export async function startDocumentsApp(t: Test, options: DocumentsOptions = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'documents-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const config = { managed: { type: 'disk', directory } as const, ...options.config }
  const server = await serverApp(t, { ...options, config })
  await server.app.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(server.app)

  const withAuthorization = ({ user = 'ann', headers = {}, ...rest }: ClientRequestOptions): ClientRequestOptions => ({
    ...rest,
    headers: { ...server.as(user), ...headers }
  })
  const request = (method: string, path: string, requestOptions: ClientRequestOptions = {}): Promise<ClientResponse> =>
    client.send(method, path, withAuthorization(requestOptions))
  const sendJson = (
    method: string,
    path: string,
    body: object,
    requestOptions: ClientRequestOptions = {}
  ): Promise<ClientResponse> =>
    request(method, path, {
      ...requestOptions,
      headers: { 'content-type': 'application/json', ...requestOptions.headers },
      body: JSON.stringify(body)
    })

  return {
    ...server,
    directory,
    request,
    sendJson,
    /** Starts an upload without sending its body yet. */
    begin: (id: string, requestOptions: ClientRequestOptions = {}) =>
      client.startRequest('PUT', contentPath(id), withAuthorization(requestOptions)),
    put: (id: string, body: string | Buffer, requestOptions: ClientRequestOptions = {}) =>
      request('PUT', contentPath(id), { ...requestOptions, body }),
    get: (id: string, requestOptions: ClientRequestOptions = {}) => request('GET', contentPath(id), requestOptions),
    /** Creates a managed document of ann's, without content unless a text is given. Returns its ID. */
    make: async (name = 'a.txt', text?: string): Promise<string> => {
      const { id } = (await sendJson('POST', '/documents', { name })).json() as DocumentView
      if (text !== undefined) await request('PUT', contentPath(id), { body: text })
      return id
    },
    view: async (id: string): Promise<DocumentView> =>
      (await request('GET', `/documents/${id}`)).json() as DocumentView,
    list: async (query = '', requestOptions: ClientRequestOptions = {}): Promise<DocumentList> =>
      (await request('GET', `/documents${query}`, requestOptions)).json() as DocumentList,
    /** Returns the files in the store, complete or not. */
    stored: async (): Promise<string[]> =>
      (await readdir(directory, { recursive: true, withFileTypes: true }))
        .filter((item) => item.isFile())
        .map(({ parentPath, name }) => join(parentPath, name).slice(directory.length + 1))
        .sort(),
    /** Returns the ID of ann's connection to the scripted provider. */
    connectionId: async (): Promise<string> => {
      const { connections } = (await request('GET', '/cloud/connections')).json() as { connections: { id: string }[] }
      return connections[0]?.id ?? ''
    }
  }
}

/** The same with its documents in a bucket. */
export async function startBucketDocuments(t: Test, options: DocumentsOptions = {}) {
  const fake = await FakeS3.start(t)
  const managed = {
    type: 's3',
    endpoint: fake.endpoint,
    bucket: FAKE_BUCKET,
    prefix: 'kept/',
    credentials: FAKE_CREDENTIALS
  } as const
  return { ...(await startDocumentsApp(t, { ...options, config: { managed, ...options.config } })), fake }
}

export function contentPath(id: string): string {
  return `/documents/${encodeURIComponent(id)}/content`
}
