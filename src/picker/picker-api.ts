import type { components } from '../client/api-types.ts'
import type { Connection, Provider } from '../client/client.ts'
import type { Entry, Listing } from '../domain/entry.ts'

type Schemas = components['schemas']

export type Ability = Provider['capabilities']['upload']
/** One field of a provider's form, as JSON Schema (draft 7). */
export type FieldSchema = Schemas['FormField']
export type FormSchema = Pick<Schemas['Form'], 'properties' | 'required'>

/** The displayed part of an item of `GET /cloud/providers`. */
export interface ProviderView extends Pick<Provider, 'id' | 'label'> {
  readonly connect:
    | Extract<Provider['connect'], { type: 'oauth2' }>
    | { readonly type: 'credentials' | 'login-flow'; readonly schema: FormSchema }
  readonly capabilities: Pick<Provider['capabilities'], 'upload' | 'createFolder'>
}

/** An item of `GET /cloud/connections`. */
export type ConnectionView = Readonly<Connection>

/** A folder of a connection; `null` is the root. */
export interface Place {
  readonly provider: string
  readonly connectionId: string
  readonly folderId: string | null
}

export interface PageQuestion {
  readonly cursor?: string | undefined
  readonly limit: number
  readonly refresh?: boolean
}

/** Reports the progress of a transfer in bytes. `total` is `null` if it is unknown. */
export type OnProgress = (done: number, total: number | null) => void

/** The content of a file with its media type, and the file name from the response, or `null` if there is none. */
export interface Downloaded {
  readonly content: Blob
  readonly name: string | null
}

/**
 * The calls that the picker sends to the server.
 * Every method rejects with a `PickerProblem`, or with the reason of its signal.
 */
export interface PickerApi {
  providers(signal: AbortSignal): Promise<readonly ProviderView[]>
  connections(signal: AbortSignal): Promise<readonly ConnectionView[]>
  list(place: Place, question: PageQuestion, signal: AbortSignal): Promise<Listing>
  connect(provider: string, fields: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<ConnectionView>
  /** Starts OAuth. Returns the authorization URL. */
  authorize(provider: string, returnTo: string | undefined, signal: AbortSignal): Promise<string>
  /** Starts a login at a server that the user enters. */
  beginLogin(provider: string, baseUrl: string, signal: AbortSignal): Promise<{ loginUrl: string; flowId: string }>
  /** Returns the connection, or the delay before the next poll. */
  pollLogin(provider: string, flowId: string, signal: AbortSignal): Promise<ConnectionView | { retryAfterMs: number }>
  verify(connectionId: string, signal: AbortSignal): Promise<ConnectionView>
  createFolder(parent: Place, name: string, signal: AbortSignal): Promise<Entry>
  /** Never overwrites: rejects with `ALREADY_EXISTS` or `PRECONDITION_FAILED` if the name is taken. */
  upload(parent: Place, file: File, onProgress: OnProgress, signal: AbortSignal): Promise<Entry>
  /** Returns the URL of a plain link, or `null` if requests need headers that a link cannot send. */
  downloadHref(place: Place, entryId: string): string | null
  download(place: Place, entryId: string, onProgress: OnProgress, signal: AbortSignal): Promise<Downloaded>
}
