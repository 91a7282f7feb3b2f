import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { compiledUrl } from '../source/compiled.ts'
import type { RefreshProcessReply, RefreshProcessCall, RefreshProcessSettings } from './process.ts'

type ProcessRequest = RefreshProcessCall['requests'][number]
type ProcessResponses = RefreshProcessReply['responses']

const PROGRAM = fileURLToPath(compiledUrl('test/support/refresh/process.ts'))

/** One process of the service. */
export class RefreshProcess {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #calls = 0

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#exited = once(child, 'exit')
    // One listener for each pending call.
    child.setMaxListeners(0)
  }

  /** Stops at teardown. */
  static async start(t: Test, settings: RefreshProcessSettings): Promise<RefreshProcess> {
    const child = fork(PROGRAM, [JSON.stringify(settings)], { execArgv: [] })
    const started = new RefreshProcess(child)
    t.teardown(async () => {
      if (child.connected) child.disconnect()
      await started.#exited
    })
    await Promise.race([once(child, 'message'), started.#exited])
    if (!child.connected) throw new Error('The process of the service did not start')
    return started
  }

  /** Sends all requests at once. Rejects if the process exits before it has replied. */
  async send(requests: readonly ProcessRequest[]): Promise<ProcessResponses> {
    const call = (this.#calls += 1)
    const replied = new Promise<ProcessResponses>((resolve) => {
      const onMessage = (message: RefreshProcessReply) => {
        if (message.call !== call) return
        this.#child.off('message', onMessage)
        resolve(message.responses)
      }
      this.#child.on('message', onMessage)
    })
    this.#child.send({ call, requests } satisfies RefreshProcessCall)
    const exited = this.#exited.then(() => {
      throw new Error('The process of the service has ended')
    })
    return await Promise.race([replied, exited])
  }

  /** Kills it without a shutdown. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}
