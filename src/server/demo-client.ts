import type { FastifyInstance, InjectOptions } from 'fastify'

/** A client of the application in the same process, through its public routes. */
export class DemoClient {
  readonly #app: FastifyInstance
  readonly #headers: { readonly authorization: string }

  constructor(app: FastifyInstance, token: string) {
    this.#app = app
    this.#headers = { authorization: `Bearer ${token}` }
  }

  async connections(): Promise<{ id: string; label: string }[]> {
    const { connections } = await this.#call<{ connections: { id: string; provider: string; label: string }[] }>({
      method: 'GET',
      url: '/cloud/connections'
    })
    return connections.filter(({ provider }) => provider === 's3')
  }

  async connect(credentials: object): Promise<string> {
    const { id } = await this.#call<{ id: string }>({
      method: 'POST',
      url: '/cloud/connections/s3',
      payload: credentials
    })
    return id
  }

  async disconnect(id: string): Promise<void> {
    await this.#call({ method: 'DELETE', url: `/cloud/connections/${id}` })
  }

  async #call<T>(request: InjectOptions): Promise<T> {
    const answer = await this.#app.inject({ ...request, headers: this.#headers })
    if (answer.statusCode >= 300) throw new Error(`The demo could not be set up: ${answer.statusCode} ${answer.body}`)
    return (answer.body === '' ? undefined : answer.json()) as T
  }
}
