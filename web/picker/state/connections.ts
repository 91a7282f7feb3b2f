import type { ConnectionView, PickerApi, ProviderView } from '../api.ts'
import { Task, type TaskOptions } from './task.ts'

/** The providers that the server offers, and the user's connections to them. */
export class ConnectionList {
  providers: readonly ProviderView[] = []
  connections: readonly ConnectionView[] = []
  readonly task: Task
  readonly #api: () => PickerApi
  readonly #onChange: () => void

  constructor(api: () => PickerApi, options: TaskOptions) {
    this.#api = api
    this.#onChange = options.onChange
    this.task = new Task(options)
  }

  /** @param onLoaded called when both have loaded */
  async load(onLoaded: () => void): Promise<void> {
    await this.task.run(async (signal) => {
      const [providers, connections] = await Promise.all([
        this.#api().providers(signal),
        this.#api().connections(signal)
      ])
      signal.throwIfAborted()
      this.providers = providers
      this.connections = connections
      onLoaded()
    })
  }

  replaceAll(connections: readonly ConnectionView[]): void {
    this.connections = connections
    this.#onChange()
  }

  /** Adds or replaces one connection and leaves the others as they are. */
  upsert(connection: ConnectionView): void {
    const others = this.connections.filter(({ id }) => id !== connection.id)
    this.replaceAll([...others, connection])
  }

  providerOf(id: string | undefined): ProviderView | undefined {
    return this.providers.find((provider) => provider.id === id)
  }

  connectionOf(id: string | undefined): ConnectionView | undefined {
    return this.connections.find((connection) => connection.id === id)
  }

  connectionsOf(providerId: string): readonly ConnectionView[] {
    return this.connections.filter(({ provider }) => provider === providerId)
  }

  /** Returns the initial connection: the requested one, else the provider's default, else an active one, else any. */
  chooseInitial(provider: string | null, connection: string | null): ConnectionView | undefined {
    if (connection !== null) return this.connectionOf(connection)
    const candidates = this.connections.filter((each) =>
      provider === null ? this.providerOf(each.provider) !== undefined : each.provider === provider
    )
    const active = candidates.filter(({ status }) => status === 'ACTIVE')
    return active.find((each) => each.default) ?? active[0] ?? candidates.find((each) => each.default) ?? candidates[0]
  }
}
