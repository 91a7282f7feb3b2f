import type { Entry, Listing } from '../domain/entry.ts'
import type { ConnectionView, OnProgress, PickerApi, Place, ProviderView } from './picker-api.ts'
import { PickerProblem, readProblem } from './problem.ts'
import { putFile } from './put-file.ts'

export type HeaderValues = Readonly<Record<string, string>>

export interface HttpApiOptions {
  /** Where the routes are, without a slash at its end: `/cloud`. */
  readonly base: () => string
  /** What goes with every request. Asked anew for each: tokens end. */
  readonly headers: () => HeaderValues | Promise<HeaderValues>
  /** Whether cookies alone say who the user is, so that plain links work. */
  readonly usesCookies: () => boolean
}

interface Question {
  readonly method?: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly body?: unknown
  readonly signal: AbortSignal
}

/** The routes of the plugin. */
export function httpApi({ base, headers, usesCookies }: HttpApiOptions): PickerApi {
  function urlOf(path: readonly string[], query: Question['query'] = {}): string {
    const given = Object.entries(query).filter((each): each is [string, string] => each[1] !== undefined)
    const search = given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`
    return [base(), ...path.map(encodeURIComponent)].join('/') + search
  }

  async function ask(path: readonly string[], { method = 'GET', query, body, signal }: Question): Promise<Response> {
    const response = await fetch(urlOf(path, query), {
      method,
      signal,
      credentials: 'same-origin',
      headers: {
        accept: 'application/json',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(await headers())
      },
      ...(body !== undefined && { body: JSON.stringify(body) })
    })
    // Who is led to a page to sign in gets that page, with a 200.
    if (response.redirected && !isJson(response)) throw new PickerProblem('UNAUTHENTICATED', { status: 401 })
    if (!response.ok) throw readProblem(response.status, response.headers, await response.text())
    return response
  }

  async function read(path: readonly string[], question: Question): Promise<unknown> {
    return await readJson(await ask(path, question))
  }

  const contentOf = ({ provider, connectionId }: Place, id: string): [string[], NonNullable<Question['query']>] => [
    [provider, 'content'],
    { id, connection: connectionId }
  ]

  return {
    async providers(signal) {
      return ((await read(['providers'], { signal })) as { providers: ProviderView[] }).providers
    },
    async connections(signal) {
      return ((await read(['connections'], { signal })) as { connections: ConnectionView[] }).connections
    },
    async list({ provider, connectionId, folderId }, { cursor, limit, refresh = false }, signal) {
      const query = {
        connection: connectionId,
        folder: folderId ?? undefined,
        cursor,
        limit: String(limit),
        refresh: refresh ? 'true' : undefined
      }
      return (await read([provider, 'listing'], { query, signal })) as Listing
    },
    async connect(provider, body, signal) {
      return (await read(['connections', provider], { method: 'POST', body, signal })) as ConnectionView
    },
    async authorize(provider, returnTo, signal) {
      const question = { method: 'POST', body: { returnTo }, signal }
      const begun = await read(['connections', provider, 'authorize'], question)
      return (begun as { authorizationUrl: string }).authorizationUrl
    },
    async beginLogin(provider, baseUrl, signal) {
      const question = { method: 'POST', body: { baseUrl }, signal }
      return (await read(['connections', provider, 'authorize'], question)) as { loginUrl: string; flowId: string }
    },
    async pollLogin(provider, flowId, signal) {
      const path = ['connections', provider, 'authorize', flowId, 'poll']
      const response = await ask(path, { method: 'POST', signal })
      if (response.status !== 202) return (await readJson(response)) as ConnectionView
      return { retryAfterMs: 1000 * Math.max(1, Number(response.headers.get('retry-after') ?? 2)) }
    },
    async verify(id, signal) {
      return (await read(['connections', id, 'verify'], { method: 'POST', signal })) as ConnectionView
    },
    async createFolder({ provider, connectionId, folderId }, name, signal) {
      const question = {
        method: 'POST',
        query: { connection: connectionId },
        body: { parentId: folderId, name },
        signal
      }
      return (await read([provider, 'folders'], question)) as Entry
    },
    async upload({ provider, connectionId, folderId }, file, onProgress, signal) {
      const query = { parent: folderId ?? undefined, name: file.name, connection: connectionId }
      const sent = await headers()
      signal.throwIfAborted()
      return (await putFile(urlOf([provider, 'content'], query), file, sent, onProgress, signal)) as Entry
    },
    downloadHref(place, entryId) {
      return usesCookies() ? urlOf(...contentOf(place, entryId)) : null
    },
    async download(place, entryId, onProgress, signal) {
      const [path, query] = contentOf(place, entryId)
      return await collect(await ask(path, { query, signal }), onProgress)
    }
  }
}

function isJson(response: Response): boolean {
  return /\bjson\b/.test(response.headers.get('content-type') ?? '')
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text()
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new PickerProblem('BAD_ANSWER', { status: response.status })
  }
}

async function collect(response: Response, onProgress: OnProgress): Promise<Blob> {
  const length = response.headers.get('content-length')
  // What is compressed on the way has another length than what arrives.
  const total = length === null || response.headers.has('content-encoding') ? null : Number(length)
  const parts: Uint8Array<ArrayBuffer>[] = []
  let done = 0
  const reader = response.body?.getReader()
  for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) {
    parts.push(read.value)
    done += read.value.byteLength
    onProgress(done, total)
  }
  return new Blob(parts)
}
