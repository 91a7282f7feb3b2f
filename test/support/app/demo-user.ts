import type { DemoWorld } from '../../../demo/world.ts'

export interface ListedEntry {
  readonly id: string
  readonly name: string
  readonly kind: string
  readonly exportFormats: readonly { readonly mimeType: string }[]
  readonly target: { readonly state: string; readonly kind: string | null } | null
}

export interface ListedPage {
  readonly entries: readonly ListedEntry[]
  readonly page: { readonly next: string | null }
}

/** The demo's user, over HTTP, with the token that the demo prints. */
export class DemoUser {
  readonly #world: Pick<DemoWorld, 'url' | 'token'>

  constructor(world: Pick<DemoWorld, 'url' | 'token'>) {
    this.#world = world
  }

  request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${this.#world.token}`, ...(init.headers as Record<string, string>) }
    return fetch(this.#world.url + path, { ...init, headers })
  }

  async json<T>(path: string): Promise<T> {
    const response = await this.request(path)
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }

  list(provider: string, query: Record<string, string> = {}): Promise<Response> {
    return this.request(`/cloud/${provider}/listing?${new URLSearchParams(query).toString()}`)
  }

  /** Returns all entries of a folder, page by page. */
  async listAll(provider: string, query: Record<string, string> = {}): Promise<ListedEntry[]> {
    const found: ListedEntry[] = []
    for (let cursor: string | null = null, more = true; more; more = cursor !== null) {
      const search: string = new URLSearchParams({ ...query, ...(cursor !== null && { cursor }) }).toString()
      const { entries, page }: ListedPage = await this.json(`/cloud/${provider}/listing?${search}`)
      found.push(...entries)
      cursor = page.next
    }
    return found
  }

  /** Returns the entry at a path of names. */
  async find(provider: string, ...path: readonly string[]): Promise<ListedEntry> {
    let entry: ListedEntry | undefined
    for (const name of path) {
      const entries: ListedEntry[] = await this.listAll(provider, entry === undefined ? {} : { folder: entry.id })
      entry = entries.find((each) => each.name === name)
      if (entry === undefined) throw new Error(`there is no ${name} of ${path.join(' / ')}`)
    }
    if (entry === undefined) throw new Error('a path of nothing')
    return entry
  }

  content(provider: string, id: string, query: Record<string, string> = {}): Promise<Response> {
    return this.request(`/cloud/${provider}/content?${new URLSearchParams({ id, ...query }).toString()}`)
  }

  connect(provider: string, fields: object): Promise<Response> {
    return this.#post(`/cloud/connections/${provider}`, fields)
  }

  async authorizeGoogle(): Promise<{ authorizationUrl: string; cookie: string }> {
    const response = await this.#post('/cloud/connections/google_drive/authorize', {})
    const { authorizationUrl } = (await response.json()) as { authorizationUrl: string }
    const [cookie = ''] = (response.headers.get('set-cookie') ?? '').split(';')
    return { authorizationUrl, cookie }
  }

  /** Runs the whole flow in a browser that stores its cookie. Returns the last response. */
  async connectGoogle({ google }: Pick<DemoWorld, 'google'>): Promise<Response> {
    const { authorizationUrl, cookie } = await this.authorizeGoogle()
    const callback = await google.emulated.consent(authorizationUrl, google.account.email)
    return fetch(callback, { headers: { cookie }, redirect: 'manual' })
  }

  async connections(): Promise<{ id: string; provider: string; label: string; status: string }[]> {
    return (await this.json<{ connections: Awaited<ReturnType<DemoUser['connections']>> }>('/cloud/connections'))
      .connections
  }

  #post(path: string, body: object): Promise<Response> {
    return this.request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
  }
}
