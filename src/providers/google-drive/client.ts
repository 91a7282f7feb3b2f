import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { StorageError } from '../../errors.ts'
import type { Call } from '../../core/backend.ts'
import { connectionFailure } from '../../net/errors.ts'
import { failure, type NotFoundCode } from '../shared/errors.ts'
import { driveFailure } from './errors.ts'
import { type ItemId, resourceKeyHeader } from './entries.ts'

interface SdkOptions {
  readonly signal: AbortSignal
  readonly headers: Record<string, string>
}

interface SdkResponse<T> {
  readonly status: number
  /** Indexed by lower-case name. */
  readonly headers: unknown
  readonly data: T
  readonly config: { readonly method?: string }
}

/** One call of the SDK, with the options that it must receive. */
export type DriveCall<T> = (drive: drive_v3.Drive, options: SdkOptions) => Promise<SdkResponse<T>>

export interface RequestOptions extends Call {
  /** The meaning of a 404. */
  readonly missing: NotFoundCode
  /** The requested item, which may need a resource key. */
  readonly itemId?: ItemId
}

export type DriveResponse<T> = { readonly data: T } | { readonly error: StorageError; readonly status: number }

/** Calls the official client and maps its failures to StorageErrors. */
export class DriveClient {
  readonly #drive: drive_v3.Drive
  readonly #url: URL

  constructor(drive: drive_v3.Drive, origin: string) {
    this.#drive = drive
    this.#url = new URL(origin)
  }

  /** Returns the data of a successful response. @throws StorageError for an error response */
  async call<T>(options: RequestOptions, run: DriveCall<T>): Promise<T> {
    const response = await this.tryCall(options, run)
    if ('error' in response) throw response.error
    return response.data
  }

  /** Returns the data of a successful response, or the error of an error response. */
  async tryCall<T>({ signal, missing, itemId }: RequestOptions, run: DriveCall<T>): Promise<DriveResponse<T>> {
    signal.throwIfAborted()
    const response = await run(this.#drive, { signal, headers: resourceKeyHeader(itemId) }).catch((error: unknown) => {
      signal.throwIfAborted()
      // The SDK wraps the errors of our fetch implementation.
      throw connectionFailure(error, 'Google Drive')
    })
    const { status, data, config } = response
    if (status < 200 || status > 299) {
      const httpResponse = { status, headers: response.headers as Record<string, string>, url: this.#url }
      return { error: driveFailure(config.method ?? 'GET', httpResponse, data, missing), status }
    }
    // The SDK returns a body that is not JSON as a string, such as the page of a captive portal.
    if (typeof data !== 'object' || data === null) {
      throw failure('PROVIDER_ERROR', 'The response of Google Drive is not valid JSON')
    }
    return { data }
  }
}
