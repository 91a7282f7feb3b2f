import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { type Dispatcher, Pool } from 'undici'
import { compiledUrl } from '../source/compiled.ts'
import type { Lateness } from './clock.ts'
import type { ClusterCall, ClusterReply, ClusterSettings } from './process.ts'

const PROGRAM = fileURLToPath(compiledUrl('test/support/cluster/process.ts'))

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
export class ClusterProcess {
  /** The number of pending requests. */
  inFlight = 0
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #calls = 0
  #pool: Pool | undefined
  #isPaused = false

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#exited = once(child, 'exit')
    // One listener for each pending call.
    child.setMaxListeners(0)
  }

  /** Does not serve yet. Stops at teardown. */
  static async start(t: Test): Promise<ClusterProcess> {
    const child = fork(PROGRAM, { execArgv: [] })
    const started = new ClusterProcess(child)
    t.teardown(async () => {
      started.resume()
      await started.#pool?.destroy()
      if (child.connected) child.disconnect()
      await started.#exited
    })
    await Promise.race([once(child, 'message'), started.#exited])
    if (!child.connected) throw new Error('The process of the service did not start')
    return started
  }

  /** Replaces the application by one with these settings. */
  async serve(settings: ClusterSettings): Promise<void> {
    await this.#pool?.close()
    const { port } = await this.#call({ kind: 'serve', settings })
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
    const { lateness } = await this.#call({ kind: 'lateness' })
    return lateness!
  }

  /** Pauses the process. The kernel still accepts connections for it. */
  pause(): void {
    this.#isPaused = this.#child.kill('SIGSTOP')
  }

  resume(): void {
    if (this.#isPaused) this.#child.kill('SIGCONT')
    this.#isPaused = false
  }

  /** Kills it without a shutdown. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Rejects if the process exits before it replies. */
  async #call(command: { kind: 'lateness' } | { kind: 'serve'; settings: ClusterSettings }): Promise<ClusterReply> {
    const call = (this.#calls += 1)
    const replied = new Promise<ClusterReply>((resolve) => {
      const onMessage = (reply: ClusterReply) => {
        if (reply.call !== call) return
        this.#child.off('message', onMessage)
        resolve(reply)
      }
      this.#child.on('message', onMessage)
    })
    this.#child.send({ call, ...command } satisfies ClusterCall)
    const exited = this.#exited.then(() => {
      throw new Error('The process of the service has ended')
    })
    const reply = await Promise.race([replied, exited])
    if (reply.failure !== undefined) throw new Error(reply.failure)
    return reply
  }
}
