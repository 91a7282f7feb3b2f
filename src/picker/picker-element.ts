import type { Entry } from '../domain/entry.ts'
import type { PickerProblem } from './problem.ts'
import type { PickerStrings } from './strings.ts'

/** Of a `select` event: all that is selected, after each change. */
export interface SelectDetail {
  readonly entries: readonly Entry[]
  readonly provider: string | null
  readonly connectionId: string | null
}

/** Of an `open` event: what the user wants to look into. */
export interface OpenDetail {
  readonly entry: Entry
  readonly provider: string
  readonly connectionId: string
}

/** The events of the picker. They bubble, and leave the shadow trees they happen in. */
export interface PickerEventMap {
  select: CustomEvent<SelectDetail>
  /** Cancelable: a folder is not shown then. */
  open: CustomEvent<OpenDetail>
  error: CustomEvent<PickerProblem>
}

export type HeadersInitValues = Readonly<Record<string, string>>

/** `<cloud-folder-picker>`: attributes are in the documentation of each property. */
export interface CloudFolderPickerElement extends HTMLElement {
  /** Where the routes are, also on another origin: `https://api.example.org/cloud`. Attribute `base`, default `/cloud`. */
  base: string
  /** The provider to begin with. Attribute `provider`. */
  provider: string | null
  /** The connection to begin with. Attribute `connection`. */
  connection: string | null
  /** The folder to begin with. Attribute `folder`. */
  folder: string | null
  /** What may be selected. Attribute `kind`; left out: both. */
  kind: 'file' | 'folder' | null
  /** Of files: media types and endings of names, with commas between. Attribute `accept`. */
  accept: string
  /** Whether several may be selected. Attribute `multiple`. */
  multiple: boolean
  /** Entries of a page, 1 to 1000. Attribute `limit`, default 200. */
  limit: number
  /** Nothing can be uploaded or made. Attribute `readonly`. */
  readonly: boolean
  /** The landing page of logins, on the origin of the page that the picker stands in. Attribute `return-to`. */
  returnTo: string | null
  /** Texts instead of the English ones. */
  strings: PickerStrings
  /** Headers of each request, for hosts without cookies. */
  headers: HeadersInitValues | null
  /** The same, asked for each request: for tokens that end. */
  getHeaders: (() => HeadersInitValues | Promise<HeadersInitValues>) | null
  /**
   * Whether requests carry cookies. Attribute `credentials`; `include` for routes of another origin that know users by
   * cookies. Left out: cookies go to the page's own origin.
   */
  credentials: RequestCredentials | null
  /** How requests are sent, to look at them or at their answers. Uploads are sent by the browser itself. */
  fetch: ((request: Request) => Promise<Response>) | null
  /** What is selected. */
  readonly selection: readonly Entry[]
  /** Loads the folder anew. */
  refresh(): Promise<void>
  /** Loads providers and connections anew, and begins where the properties say. */
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
