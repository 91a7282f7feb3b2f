import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { StorageError } from '../../errors.ts'
import type { Call } from '../../core/backend.ts'
import { connectionFailure } from '../../net/errors.ts'
import { failure, type Missing } from '../shared/errors.ts'
import { driveFailure } from './errors.ts'
import { type DriveId, keyHeader } from './entries.ts'

interface SdkOptions {
  readonly signal: AbortSignal
  readonly headers: Record<string, string>
}

interface SdkAnswer<T> {
  readonly status: number
  /** Indexed by lower-case name. */
  readonly headers: unknown
  readonly data: T
  readonly config: { readonly method?: string }
}

/** One call of the SDK, with the options that it must receive. */
export type DriveCall<T> = (drive: drive_v3.Drive, options: SdkOptions) => Promise<SdkAnswer<T>>

export interface AskOptions extends Call {
  /** The meaning of a 404. */
  readonly missing: Missing
  /** The requested item, which may need a resource key. */
  readonly about?: DriveId
}

export type Told<T> = { readonly data: T } | { readonly refusal: StorageError; readonly status: number }

/** Calls the official client and maps its failures to StorageErrors. */
export class DriveClient {
  readonly #drive: drive_v3.Drive
  readonly #url: URL

  constructor(drive: drive_v3.Drive, origin: string) {
    this.#drive = drive
    this.#url = new URL(origin)
  }

  /** Returns the data of a successful response. @throws StorageError for an error response */
  async call<T>(options: AskOptions, run: DriveCall<T>): Promise<T> {
    const told = await this.ask(options, run)
    if ('refusal' in told) throw told.refusal
    return told.data
  }

  /** Returns the data of a successful response, or the error of an error response. */
  async ask<T>({ signal, missing, about }: AskOptions, run: DriveCall<T>): Promise<Told<T>> {
    signal.throwIfAborted()
    const answer = await run(this.#drive, { signal, headers: keyHeader(about) }).catch((error: unknown) => {
      signal.throwIfAborted()
      // The SDK wraps the errors of our fetch implementation.
      throw connectionFailure(error, 'Google Drive')
    })
    const { status, data, config } = answer
    if (status < 200 || status > 299) {
      const told = { status, headers: answer.headers as Record<string, string>, url: this.#url }
      return { refusal: driveFailure(config.method ?? 'GET', told, data, missing), status }
    }
    // The SDK returns a body that is not JSON as a string, such as the page of a captive portal.
    if (typeof data !== 'object' || data === null) {
      throw failure('PROVIDER_ERROR', 'The response of Google Drive is not valid JSON')
    }
    return { data }
  }
}
