import type { Entry } from '../domain/entry.ts'
import type { PickerProblem } from './problem.ts'
import type { PickerStrings } from './strings.ts'

/** Detail of a `select` event: the whole selection after each change. */
export interface SelectDetail {
  readonly entries: readonly Entry[]
  readonly provider: string | null
  readonly connectionId: string | null
}

/** Detail of an `open` event: the folder that the user wants to open. */
export interface OpenDetail {
  readonly entry: Entry
  readonly provider: string
  readonly connectionId: string
}

/** The events of the picker. They bubble, and are composed: they cross shadow roots. */
export interface PickerEventMap {
  select: CustomEvent<SelectDetail>
  /** Cancelable. If cancelled, the folder is not opened. */
  open: CustomEvent<OpenDetail>
  error: CustomEvent<PickerProblem>
}

export type HeadersInitValues = Readonly<Record<string, string>>

/** `<cloud-folder-picker>`. The documentation of each property names its attribute. */
export interface CloudFolderPickerElement extends HTMLElement {
  /** Base URL of the routes, or `https://api.example.org/cloud` cross-origin. Attribute `base`, default `/cloud`. */
  base: string
  /** The initial provider. Attribute `provider`. */
  provider: string | null
  /** The initial connection. Attribute `connection`. */
  connection: string | null
  /** The initial folder. Attribute `folder`. */
  folder: string | null
  /** Which kind of entries can be selected. Attribute `kind`; by default both. */
  kind: 'file' | 'folder' | null
  /** Comma-separated media types and file extensions that files must match. Attribute `accept`. */
  accept: string
  /** Whether several entries can be selected. Attribute `multiple`. */
  multiple: boolean
  /** Entries per page, 1 to 1000. Attribute `limit`, default 200. */
  limit: number
  /** Disables uploads and the creation of folders. Attribute `readonly`. */
  readonly: boolean
  /** The landing page of logins, on the origin of the embedding page. Attribute `return-to`. */
  returnTo: string | null
  /** Texts that replace the English ones. */
  strings: PickerStrings
  /** Headers of each request, for hosts that do not use cookies. */
  headers: HeadersInitValues | null
  /** Returns the headers of a request. Called for each request, for tokens that expire. */
  getHeaders: (() => HeadersInitValues | Promise<HeadersInitValues>) | null
  /**
   * The credentials mode of requests. Attribute `credentials`; use `include` for cross-origin routes that
   * authenticate by cookie. By default cookies are sent only to the page's own origin.
   */
  credentials: RequestCredentials | null
  /** Sends requests, to inspect them or their responses. Uploads do not use it. */
  fetch: ((request: Request) => Promise<Response>) | null
  /** The selected entries. */
  readonly selection: readonly Entry[]
  /** Reloads the current folder. */
  refresh(): Promise<void>
  /** Reloads providers and connections, then starts at the place that the properties give. */
  restart(): Promise<void>

  addEventListener<K extends keyof PickerEventMap>(
    type: K,
    listener: (this: CloudFolderPickerElement, event: PickerEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions
  ): void
  addEventListener<K extends Exclude<keyof HTMLElementEventMap, keyof PickerEventMap>>(
    type: K,
    listener: (this: CloudFolderPickerElement, event: HTMLElementEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions
  ): void
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions
  ): void
}
