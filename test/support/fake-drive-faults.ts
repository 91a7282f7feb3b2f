import type { ServerResponse } from 'node:http'
import { faulty, type DavFault, type FaultLimits } from './dav-faults.ts'
import type { DavScript } from './fake-dav.ts'
import type { FakeDavRequest } from './fake-dav-request.ts'
import { sendError, type DriveError } from './fake-drive-failure.ts'

/** Which requests a failure strikes: all of these must hold. */
export interface FailureLimits extends Pick<FaultLimits, 'matching' | 'after'> {
  readonly method?: string
  /** Without the query. */
  readonly path?: string | RegExp
  /** Once the head is there, while a body is still coming. */
  readonly early?: boolean
}

/** What goes wrong, in the order in which it was scripted. */
export class FakeDriveFaults {
  readonly #scripts: { readonly isEarly: boolean; readonly script: DavScript }[] = []

  /** An error of Drive, or any of the faults of `dav-faults.ts`, which know nothing of DAV that would show here. */
  add(times: number, fault: DriveError | DavFault, limits: FailureLimits): void {
    const { method, path, matching = () => true, after = 0, early = false } = limits
    const strike: DavFault =
      typeof fault === 'function'
        ? fault
        : (_request, response) => {
            sendError(response, fault)
          }
    const isMeant = (request: FakeDavRequest) =>
      (method === undefined || method === request.method) &&
      (path === undefined || (typeof path === 'string' ? path === request.path : path.test(request.path))) &&
      matching(request)
    this.#scripts.push({ isEarly: early, script: faulty(strike, { matching: isMeant, after, times }) })
  }

  /** Whether it has answered, or has seen to it that nobody will. */
  strike(isEarly: boolean, request: FakeDavRequest, response: ServerResponse): boolean {
    return this.#scripts.some((entry) => entry.isEarly === isEarly && entry.script(request, response) === true)
  }
}
