import type { ServerResponse } from 'node:http'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { DropboxMistake } from './failure.ts'
import type { DropboxHead } from './head.ts'
import type { DropboxOperation } from './routes.ts'
import type { DropboxView } from './view.ts'
import { sendJson } from '../fake-server.ts'

/** The caller, and the scopes granted to the application. */
export interface DropboxCaller {
  readonly user: string
  readonly scopes: readonly string[]
}

/** An allowed request and its response. */
export class DropboxCall {
  readonly operation: DropboxOperation
  readonly request: FakeCloudRequest
  readonly response: ServerResponse
  readonly caller: DropboxCaller
  readonly view: DropboxView
  /** Has passed the check of the route. */
  readonly arg: unknown

  constructor(
    { operation, route }: DropboxHead,
    request: FakeCloudRequest,
    response: ServerResponse,
    caller: DropboxCaller,
    view: DropboxView
  ) {
    this.operation = operation
    this.request = request
    this.response = response
    this.caller = caller
    this.view = view
    const isBody = route.style === 'rpc'
    const location = isBody ? 'request body' : 'HTTP header "Dropbox-API-Arg"'
    if (route.style === 'download' && this.body.length > 0) throw this.mistake('a body')
    // Without arguments, the official client sends no body.
    const hasNoArguments =
      isBody && route.arg === null && this.body.length === 0 && !('content-type' in request.headers)
    this.arg = hasNoArguments ? null : this.#parse(isBody ? this.body.toString() : this.#argHeader(), location)
    const error = route.arg === null ? (this.arg === null ? undefined : ': expected null') : route.arg(this.arg)
    if (error !== undefined) throw this.mistake(`${location}${error}`)
  }

  get body(): Buffer {
    return this.request.body ?? Buffer.alloc(0)
  }

  mistake(mistake: string): DropboxMistake {
    return new DropboxMistake(this.operation, mistake)
  }

  /** Sends JSON. */
  send(value: object | null): void {
    sendJson(this.response, 200, value)
  }

  #argHeader(): string {
    const header = this.request.headers['dropbox-api-arg']
    if (header === undefined) throw this.mistake('Must provide HTTP header "Dropbox-API-Arg"')
    if (/[^\x20-\x7e]/.test(header))
      throw this.mistake('HTTP header "Dropbox-API-Arg": a character that is not escaped')
    return header
  }

  #parse(json: string, location: string): unknown {
    try {
      return JSON.parse(json)
    } catch {
      throw this.mistake(`${location}: could not decode input as JSON`)
    }
  }
}

/** Encodes JSON for a header, where all characters from DEL on must be escaped. */
export function headerJson(value: object): string {
  return JSON.stringify(value).replaceAll(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
}
