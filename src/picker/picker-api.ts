import type { components } from '../client/api-types.ts'
import type { Connection, Provider } from '../client/client.ts'
import type { Entry, Listing } from '../domain/entry.ts'

type Schemas = components['schemas']

export type Ability = Provider['capabilities']['upload']
/** One field of a provider's form, as its JSON Schema (draft 7) says it. */
export type FieldSchema = Schemas['FormField']
export type FormSchema = Pick<Schemas['Form'], 'properties' | 'required'>

/** An item of `GET /cloud/providers`, as far as it is shown. */
export interface ProviderView extends Pick<Provider, 'id' | 'label'> {
  readonly connect:
    | Extract<Provider['connect'], { type: 'oauth2' }>
    | { readonly type: 'credentials' | 'login-flow'; readonly schema: FormSchema }
  readonly capabilities: Pick<Provider['capabilities'], 'upload' | 'createFolder'>
}

/** An item of `GET /cloud/connections`. */
export type ConnectionView = Readonly<Connection>

/** A folder of a connection; `null` is its root. */
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

/** Told while bytes travel. `total` is `null` where nobody knows. */
export type OnProgress = (done: number, total: number | null) => void

/** The content of a file, with its media type, and the name that the server gives it: `null` if it gives none. */
export interface Downloaded {
  readonly content: Blob
  readonly name: string | null
}

/**
 * All that the picker asks of the server.
 *
 * Every method rejects with a `PickerProblem`, or with the reason of its signal.
 */
export interface PickerApi {
  providers(signal: AbortSignal): Promise<readonly ProviderView[]>
  connections(signal: AbortSignal): Promise<readonly ConnectionView[]>
  list(place: Place, question: PageQuestion, signal: AbortSignal): Promise<Listing>
  connect(provider: string, fields: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<ConnectionView>
  /** Begins OAuth: where to send the browser. */
  authorize(provider: string, returnTo: string | undefined, signal: AbortSignal): Promise<string>
  /** Begins a login at a server that the user names. */
  beginLogin(provider: string, baseUrl: string, signal: AbortSignal): Promise<{ loginUrl: string; flowId: string }>
  /** The connection, or for how long to wait before the next question. */
  pollLogin(provider: string, flowId: string, signal: AbortSignal): Promise<ConnectionView | { retryAfterMs: number }>
  verify(connectionId: string, signal: AbortSignal): Promise<ConnectionView>
  createFolder(parent: Place, name: string, signal: AbortSignal): Promise<Entry>
  /** Never overwrites: `ALREADY_EXISTS` or `PRECONDITION_FAILED` where the name is taken. */
  upload(parent: Place, file: File, onProgress: OnProgress, signal: AbortSignal): Promise<Entry>
  /** Where a plain link downloads from, or `null` where requests need headers that a link does not send. */
  downloadHref(place: Place, entryId: string): string | null
  download(place: Place, entryId: string, onProgress: OnProgress, signal: AbortSignal): Promise<Downloaded>
}
