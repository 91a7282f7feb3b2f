import type { Test } from 'tap'
import { type Dispatcher, Pool } from 'undici'
import { ServiceProcess } from '../process/service-process.ts'
import type { Lateness } from './clock.ts'
import type { ClusterCall, ClusterReply, ClusterSettings } from './process.ts'

export interface ClusterRequest {
  readonly path: string
  readonly user: string
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: object
}

/** A response of a process, with the process's own times by `monotonicMs`. */
export interface ClusterResponse {
  readonly status: number
  readonly headers: Dispatcher.ResponseData['headers']
  readonly body: string
  readonly arrivedAt: number
  /** A lower bound for the time of its last validity check. */
  readonly lastCheckedAfter: number
  readonly sentAt: number
}

/** One process of the service, with the sockets to reach it. */
export class ClusterProcess extends ServiceProcess<ClusterCall, ClusterReply> {
  /** The number of pending requests. */
  inFlight = 0
  #pool: Pool | undefined
  #isPaused = false

  /** Does not serve yet. Stops at teardown. */
  static async start(t: Test): Promise<ClusterProcess> {
    const process = new ClusterProcess('test/support/cluster/process.ts')
    const ready = process.ready(t)
    // Runs before the process is stopped.
    t.teardown(async () => {
      process.resume()
      await process.#pool?.destroy()
    })
    await ready
    return process
  }

  /** Replaces the application by one with these settings. */
  async serve(settings: ClusterSettings): Promise<void> {
    await this.#pool?.close()
    const { port } = await this.call({ kind: 'serve', settings })
    this.#pool = new Pool(`http://127.0.0.1:${String(port)}`, { pipelining: 1 })
  }

  async send({ path, user, method = 'GET', headers = {}, body }: ClusterRequest): Promise<ClusterResponse> {
    this.inFlight += 1
    try {
      const response = await this.stream({ path, user, method, headers, ...(body && { body }) })
      const text = await response.body.text()
      const timeHeader = (name: string) => Number(response.headers[name])
      return {
        status: response.statusCode,
        headers: response.headers,
        body: text,
        arrivedAt: timeHeader('x-arrived-at'),
        lastCheckedAfter: timeHeader('x-looked-after'),
        sentAt: timeHeader('x-sent-at')
      }
    } finally {
      this.inFlight -= 1
    }
  }

  /** Resolves with the response as soon as its headers arrive. */
  stream({ path, user, method = 'GET', headers = {}, body }: ClusterRequest): Promise<Dispatcher.ResponseData> {
    if (this.#pool === undefined) throw new Error('The process serves nothing yet')
    return this.#pool.request({
      path,
      method,
      headers: { 'x-user': user, ...(body && { 'content-type': 'application/json' }), ...headers },
      ...(body && { body: JSON.stringify(body) })
    })
  }

  async lateness(): Promise<Lateness> {
    const { lateness } = await this.call({ kind: 'lateness' })
    return lateness!
  }

  /** Pauses the process. The kernel still accepts connections for it. */
  pause(): void {
    this.#isPaused = this.child.kill('SIGSTOP')
  }

  resume(): void {
    if (this.#isPaused) this.child.kill('SIGCONT')
    this.#isPaused = false
  }

  /** Asks it to shut down. Resolves with its exit code. */
  async terminate(): Promise<number | null> {
    this.child.kill('SIGTERM')
    await this.exited
    return this.child.exitCode
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }
}
