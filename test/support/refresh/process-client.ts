import type { Test } from 'tap'
import { ServiceProcess } from '../process/service-process.ts'
import type { RefreshProcessRequest, RefreshProcessResponse, RefreshProcessSettings } from './process.ts'

/** One process of the service. */
export class RefreshProcess extends ServiceProcess<readonly RefreshProcessRequest[], RefreshProcessResponse[]> {
  /** Stops at teardown. */
  static async start(t: Test, settings: RefreshProcessSettings): Promise<RefreshProcess> {
    const started = new RefreshProcess('test/support/refresh/process.ts', settings)
    await started.ready(t)
    return started
  }

  /** Sends all requests at once. Returns the responses in the same order. */
  async send(requests: readonly RefreshProcessRequest[]): Promise<readonly RefreshProcessResponse[]> {
    return await this.call(requests)
  }
}
