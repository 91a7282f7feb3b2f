// A child process that a test forks and calls. The test uses `ServiceProcess`, the program `serveCalls`.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { compiledUrl } from '../source/compiled.ts'

interface CallMessage<Call> {
  readonly id: number
  readonly call: Call
}

interface ReplyMessage<Reply> {
  readonly id: number
  readonly reply?: Reply
  readonly failure?: string
}

/** One process of the service. */
export class ServiceProcess<Call, Reply> {
  protected readonly child: ChildProcess
  protected readonly exited: Promise<unknown>
  #calls = 0

  /** @param program path of the source file, from the root of the repository */
  protected constructor(program: string, argument: object = {}) {
    this.child = fork(fileURLToPath(compiledUrl(program)), [JSON.stringify(argument)], { execArgv: [] })
    this.exited = once(this.child, 'exit')
    // One listener for each pending call.
    this.child.setMaxListeners(0)
  }

  /** Resolves when the process accepts calls. Stops it at teardown. */
  protected async ready(t: Test): Promise<void> {
    t.teardown(async () => {
      if (this.child.connected) this.child.disconnect()
      await this.exited
    })
    await Promise.race([once(this.child, 'message'), this.exited])
    if (!this.child.connected) throw new Error('The process of the service did not start')
  }

  /** Rejects if the process exits before it replies. */
  protected async call(call: Call): Promise<Reply> {
    const id = (this.#calls += 1)
    const replied = new Promise<ReplyMessage<Reply>>((resolve) => {
      const onMessage = (message: ReplyMessage<Reply>) => {
        if (message.id !== id) return
        this.child.off('message', onMessage)
        resolve(message)
      }
      this.child.on('message', onMessage)
    })
    this.child.send({ id, call } satisfies CallMessage<Call>)
    const exited = this.exited.then(() => {
      throw new Error('The process of the service has ended')
    })
    const { reply, failure } = await Promise.race([replied, exited])
    if (failure !== undefined) throw new Error(failure)
    return reply as Reply
  }

  /** Kills it without a shutdown. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exited
  }
}

/** Handles the calls of the parent process. Calls `shutDown` when the parent disconnects or exits. */
export function serveCalls(handle: (call: never) => Promise<unknown>, shutDown: () => void): void {
  process.on('message', ({ id, call }: CallMessage<never>) => {
    void handle(call)
      .then(
        (reply): ReplyMessage<unknown> => ({ id, reply }),
        (error: unknown): ReplyMessage<unknown> => ({ id, failure: String(error) })
      )
      .then((message) => process.send?.(message))
  })
  process.once('disconnect', shutDown)
  process.send?.('ready')
}
