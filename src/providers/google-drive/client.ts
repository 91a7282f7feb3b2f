import type { drive_v3 } from 'googleapis/build/src/apis/drive/index.js'
import type { StorageError } from '../../domain/errors.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { connectionFailure } from '../../infra/net/connection-failure.ts'
import { failure, type Missing } from '../shared/http-failure.ts'
import { driveFailure } from './failure.ts'
import { type DriveId, keyHeader } from './ids.ts'

interface SdkOptions {
  readonly signal: AbortSignal
  readonly headers: Record<string, string>
}

interface SdkAnswer<T> {
  readonly status: number
  /** By lower-case name. */
  readonly headers: unknown
  readonly data: T
  readonly config: { readonly method?: string }
}

/** One call of the SDK, with the options that it must be given. */
export type DriveCall<T> = (drive: drive_v3.Drive, options: SdkOptions) => Promise<SdkAnswer<T>>

export interface AskOptions extends Call {
  /** What a 404 means. */
  readonly missing: Missing
  /** What is asked about: it may need a key. */
  readonly about?: DriveId
}

export type Told<T> = { readonly data: T } | { readonly refusal: StorageError; readonly status: number }

/** Calls of the official client, with failures that callers know. */
export class DriveClient {
  readonly #drive: drive_v3.Drive
  readonly #url: URL

  constructor(drive: drive_v3.Drive, origin: string) {
    this.#drive = drive
    this.#url = new URL(origin)
  }

  /** What was asked for. @throws StorageError of what a refusal means */
  async call<T>(options: AskOptions, run: DriveCall<T>): Promise<T> {
    const told = await this.ask(options, run)
    if ('refusal' in told) throw told.refusal
    return told.data
  }

  /** What was asked for, or that it is refused. */
  async ask<T>({ signal, missing, about }: AskOptions, run: DriveCall<T>): Promise<Told<T>> {
    signal.throwIfAborted()
    const answer = await run(this.#drive, { signal, headers: keyHeader(about) }).catch((error: unknown) => {
      signal.throwIfAborted()
      // The SDK wraps what our own fetch fails with.
      throw connectionFailure(error, 'Google Drive')
    })
    const { status, data, config } = answer
    if (status < 200 || status > 299) {
      const told = { status, headers: answer.headers as Record<string, string>, url: this.#url }
      return { refusal: driveFailure(config.method ?? 'GET', told, data, missing), status }
    }
    // What is no JSON comes as a text, that of a portal's page for one.
    if (typeof data !== 'object' || data === null) {
      throw failure('PROVIDER_ERROR', 'Google Drive answered with something that is not JSON')
    }
    return { data }
  }
}
