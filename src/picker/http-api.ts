import { type CloudStorageClient, createCloudStorageClient, type HeaderValues } from '../client/client.ts'
import { fileNameOf } from '../client/file-name.ts'
import type { Entry } from '../domain/entry.ts'
import { bodyLength } from './body-length.ts'
import { withWebLinks } from './entry-rules.ts'
import type { Downloaded, OnProgress, PickerApi } from './picker-api.ts'
import { PickerProblem, readProblem } from './problem.ts'
import { putFile } from './put-file.ts'

export interface HttpApiOptions {
  /** Base URL of the routes without a trailing slash: `/cloud`. */
  readonly base: () => string
  /** Headers of each request. Called for every request, because tokens expire. */
  readonly headers: () => HeaderValues | Promise<HeaderValues>
  /** Whether cookies alone authenticate the user, so that plain links work. */
  readonly usesCookies: () => boolean
  /** The credentials mode of requests. `null` means `same-origin`. */
  readonly credentials: () => RequestCredentials | null
  /** The host's `fetch`. Uploads do not use it. */
  readonly fetch: () => (request: Request) => Promise<Response>
}

/** Calls the routes of the plugin. */
export function httpApi({ base, headers, usesCookies, credentials, fetch }: HttpApiOptions): PickerApi {
  const client = (sent = credentials() ?? 'same-origin'): CloudStorageClient =>
    createCloudStorageClient({
      credentials: sent,
      baseUrl: base(),
      routePrefix: '',
      headers: { accept: 'application/json' },
      getHeaders: headers,
      fetch: async (request) => {
        const response = await fetch()(request)
        // A redirect to a sign-in page ends with a 200 and HTML.
        if (response.redirected && !isJson(response)) throw new PickerProblem('UNAUTHENTICATED', { status: 401 })
        if (!response.ok) throw readProblem(response.status, response.headers, await response.text())
        return response
      }
    })
  const contentUrl = (provider: string, query: Record<string, string | undefined>): string =>
    client().urlOf('/cloud/{provider}/content', { path: { provider }, query })
  /** Starts OAuth or a login flow, depending on the provider. */
  const begin = async (provider: string, body: { returnTo?: string } | { baseUrl: string }, signal: AbortSignal) => {
    const params = { path: { provider } }
    // Cross-origin too: the response sets the cookie that the OAuth callback requires.
    const asked = client('include').POST('/cloud/connections/{provider}/authorize', { params, body, signal })
    return (await read(asked)) as { authorizationUrl: string; loginUrl: string; flowId: string }
  }

  return {
    async providers(signal) {
      return (await read(client().GET('/cloud/providers', { signal }))).providers
    },
    async connections(signal) {
      return (await read(client().GET('/cloud/connections', { signal }))).connections
    },
    async list({ provider, connectionId, folderId }, { cursor, limit, refresh }, signal) {
      const query = {
        connection: connectionId,
        limit,
        ...(folderId !== null && { folder: folderId }),
        ...(cursor !== undefined && { cursor }),
        ...(refresh === true && { refresh })
      }
      const params = { path: { provider }, query }
      const listing = await read(client().GET('/cloud/{provider}/listing', { params, signal }))
      return { ...listing, entries: listing.entries.map(withWebLinks) }
    },
    async connect(id, body, signal) {
      const params = { path: { id } }
      // The fields follow the provider's own schema, which the static types do not know.
      return await read(client().POST('/cloud/connections/{id}', { params, body: body as never, signal }))
    },
    async authorize(provider, returnTo, signal) {
      return (await begin(provider, returnTo === undefined ? {} : { returnTo }, signal)).authorizationUrl
    },
    async beginLogin(provider, baseUrl, signal) {
      return await begin(provider, { baseUrl }, signal)
    },
    async pollLogin(provider, flowId, signal) {
      const params = { path: { provider, flowId } }
      const asked = client().POST('/cloud/connections/{provider}/authorize/{flowId}/poll', { params, signal })
      const answer = await read(asked)
      if ('id' in answer) return answer
      const { response } = await asked
      return { retryAfterMs: 1000 * Math.max(1, Number(response.headers.get('retry-after') ?? 2)) }
    },
    async verify(id, signal) {
      return await read(client().POST('/cloud/connections/{id}/verify', { params: { path: { id } }, signal }))
    },
    async createFolder({ provider, connectionId, folderId }, name, signal) {
      const params = { path: { provider }, query: { connection: connectionId } }
      const body = { parentId: folderId, name }
      return withWebLinks(await read(client().POST('/cloud/{provider}/folders', { params, body, signal })))
    },
    async upload({ provider, connectionId, folderId }, file, onProgress, signal) {
      const url = contentUrl(provider, { parent: folderId ?? undefined, name: file.name, connection: connectionId })
      const sent = await headers()
      signal.throwIfAborted()
      const options = { headers: sent, isWithCookies: credentials() === 'include' }
      return withWebLinks((await putFile(url, file, options, onProgress, signal)) as Entry)
    },
    downloadHref({ provider, connectionId }, id) {
      return usesCookies() ? contentUrl(provider, { id, connection: connectionId }) : null
    },
    async download({ provider, connectionId }, id, onProgress, signal) {
      const params = { path: { provider }, query: { id, connection: connectionId } }
      const asked = client().GET('/cloud/{provider}/content', { params, parseAs: 'stream', signal })
      return await collect((await asked).response, onProgress)
    }
  }
}

/** Returns the body of a successful response. Rejects with `BAD_ANSWER` if it is not JSON. */
async function read<T>(asked: Promise<{ data?: T }>): Promise<T> {
  const { data } = await asked.catch((error: unknown) => {
    if (error instanceof SyntaxError) return { data: undefined }
    throw error
  })
  if (data === undefined) throw new PickerProblem('BAD_ANSWER')
  return data
}

function isJson(response: Response): boolean {
  return /\bjson\b/.test(response.headers.get('content-type') ?? '')
}

async function collect(response: Response, onProgress: OnProgress): Promise<Downloaded> {
  const total = bodyLength(response)
  const parts: Uint8Array<ArrayBuffer>[] = []
  let done = 0
  const reader = response.body?.getReader()
  for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) {
    parts.push(read.value)
    done += read.value.byteLength
    onProgress(done, total)
  }
  // Without a type, browsers guess one and may change the file extension.
  const content = new Blob(parts, { type: response.headers.get('content-type') ?? '' })
  return { content, name: fileNameOf(response) }
}
