import { type CloudStorageClient, createCloudStorageClient, type HeaderValues } from '../client/client.ts'
import { fileNameOf } from '../client/file-name.ts'
import type { Entry } from '../domain/entry.ts'
import { bodyLength } from './body-length.ts'
import { withWebLinks } from './entry-rules.ts'
import type { Downloaded, OnProgress, PickerApi } from './picker-api.ts'
import { PickerProblem, readProblem } from './problem.ts'
import { putFile } from './put-file.ts'

export interface HttpApiOptions {
  /** Where the routes are, without a slash at its end: `/cloud`. */
  readonly base: () => string
  /** What goes with every request. Asked anew for each: tokens end. */
  readonly headers: () => HeaderValues | Promise<HeaderValues>
  /** Whether cookies alone say who the user is, so that plain links work. */
  readonly usesCookies: () => boolean
  /** Whether requests carry cookies. `null`: to the page's own origin. */
  readonly credentials: () => RequestCredentials | null
  /** How the host sends requests, but for uploads. */
  readonly fetch: () => (request: Request) => Promise<Response>
}

/** The routes of the plugin. */
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
        // Who is led to a page to sign in gets that page, with a 200.
        if (response.redirected && !isJson(response)) throw new PickerProblem('UNAUTHENTICATED', { status: 401 })
        if (!response.ok) throw readProblem(response.status, response.headers, await response.text())
        return response
      }
    })
  const contentUrl = (provider: string, query: Record<string, string | undefined>): string =>
    client().urlOf('/cloud/{provider}/content', { path: { provider }, query })
  /** One of the two, by the kind of provider. */
  const begin = async (provider: string, body: { returnTo?: string } | { baseUrl: string }, signal: AbortSignal) => {
    const params = { path: { provider } }
    // On another origin too: the response of OAuth sets the cookie that the browser shows at the callback.
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
      // The fields are those that the provider's own schema asks for.
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

/** What came of a success. What is no JSON makes no sense. */
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
  // Without a type, browsers guess one and may change the extension of the name.
  const content = new Blob(parts, { type: response.headers.get('content-type') ?? '' })
  return { content, name: fileNameOf(response) }
}
