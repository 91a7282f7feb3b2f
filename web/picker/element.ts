import { html, LitElement, nothing, type PropertyDeclarations } from 'lit'
import type { Entry } from '../../src/core/entry.ts'
import { httpApi } from './api.ts'
import { systemClock } from './clock.ts'
import { DropZone } from './files.ts'
import { browserWindows } from './popup.ts'
import { PickerProblem } from './problem.ts'
import { PickerCore } from './state/picker.ts'
import { parseAccept } from './state/selection.ts'
import { type Format, formatFor, localeOf, type PickerStrings, translator } from './strings.ts'
import { controlStyles } from './styles/controls.ts'
import { frameStyles } from './styles/frame.ts'
import { gridStyles } from './styles/grid.ts'
import { pickerActions, type ViewActions, type ViewContext } from './view/context.ts'
import { mainView, noticesView, statusView } from './view/folder.ts'
import { GridView } from './view/grid.ts'
import { sideView } from './view/panels.ts'
import { newFolderView, toolbarView } from './view/toolbar.ts'
import { transfersView } from './view/transfers.ts'

/** Replaces Lit's default converter, which sets the property to `null` when the attribute is removed. */
const textOr = (fallback: string) => ({ fromAttribute: (value: string | null) => value ?? fallback })

/** The properties of the element and their attributes. */
export const PROPERTIES: PropertyDeclarations = {
  base: { converter: textOr('/cloud') },
  provider: {},
  connection: {},
  folder: {},
  kind: {},
  accept: { converter: textOr('') },
  multiple: { type: Boolean },
  limit: { type: Number },
  readonly: { type: Boolean },
  returnTo: { attribute: 'return-to' },
  strings: { attribute: false },
  headers: { attribute: false },
  getHeaders: { attribute: false },
  credentials: {},
  fetch: { attribute: false }
}

/** Defaults. The constructor assigns them, because a class field would hide the accessor of the same name. */
export const DEFAULTS = {
  base: '/cloud',
  provider: null,
  connection: null,
  folder: null,
  kind: null,
  accept: '',
  multiple: false,
  limit: 200,
  readonly: false,
  returnTo: null,
  strings: {},
  headers: null,
  getHeaders: null,
  credentials: null,
  fetch: null
} as const

/** The properties that decide where the picker starts. */
export const START_PROPERTIES = ['base', 'provider', 'connection', 'folder'] as const
/** The properties that decide which entries can be selected. */
export const FILTER_PROPERTIES = ['kind', 'accept', 'multiple'] as const

export class PickerElement extends LitElement {
  static override styles = [controlStyles, frameStyles, gridStyles]
  static override properties = PROPERTIES

  declare base: CloudFolderPickerElement['base']
  declare provider: CloudFolderPickerElement['provider']
  declare connection: CloudFolderPickerElement['connection']
  declare folder: CloudFolderPickerElement['folder']
  declare kind: CloudFolderPickerElement['kind']
  declare accept: CloudFolderPickerElement['accept']
  declare multiple: CloudFolderPickerElement['multiple']
  declare limit: CloudFolderPickerElement['limit']
  declare readonly: CloudFolderPickerElement['readonly']
  declare returnTo: CloudFolderPickerElement['returnTo']
  declare strings: CloudFolderPickerElement['strings']
  declare headers: CloudFolderPickerElement['headers']
  declare getHeaders: CloudFolderPickerElement['getHeaders']
  declare credentials: CloudFolderPickerElement['credentials']
  declare fetch: CloudFolderPickerElement['fetch']

  readonly #grid = new GridView()
  #formats: { readonly locale: string; readonly format: Format } | null = null
  /** Whether the folder that was left had the keyboard focus; the next folder takes it over. */
  #movesFocus = false
  readonly #core = new PickerCore({
    api: () => this.#api,
    clock: systemClock,
    random: Math.random,
    windows: browserWindows,
    limit: () => Math.min(Math.max(Math.trunc(this.limit) || 200, 1), 1000),
    returnTo: () => returnToOf(this),
    onChange: () => {
      this.requestUpdate()
    },
    onSelect: () => {
      const { entries } = this.#core.selection
      const { connection } = this.#core
      const detail: SelectDetail = {
        entries,
        provider: connection?.provider ?? null,
        connectionId: connection?.id ?? null
      }
      this.#emit('select', detail)
    },
    onProblem: (problem) => this.#emit('error', problem)
  })
  readonly #api = httpApi({
    base: () => this.base.replace(/\/+$/, ''),
    headers: () => this.getHeaders?.() ?? this.headers ?? {},
    usesCookies: () => this.getHeaders == null && this.headers == null,
    credentials: () => this.credentials,
    fetch: () => this.fetch ?? fetch
  })
  readonly #drops = new DropZone(
    () => {
      this.requestUpdate()
    },
    (files, hasFolders) => {
      if (this.readonly || !this.#core.can('upload')) return
      this.#core.transferQueue.upload(files, hasFolders)
      this.requestUpdate()
      if (hasFolders) this.#emit('error', new PickerProblem('NO_FOLDERS'))
    }
  )
  readonly #onOnline = (): void => {
    this.#core.onOnline()
  }

  /** Whether the page shows the element: it may be in a closed dialog, or scrolled out of sight. */
  #isOnScreen = false
  #observer: IntersectionObserver | null = null
  /** Whether the grid had the focus before the last update. */
  #gridHadFocus = false
  readonly #onVisibility = (): void => {
    this.#core.setVisible(this.#isOnScreen && document.visibilityState === 'visible')
  }

  constructor() {
    super()
    Object.assign(this, DEFAULTS)
  }

  get selection(): readonly Entry[] {
    return this.#core.selection.entries
  }

  async refresh(): Promise<void> {
    await this.#core.refresh()
  }

  async restart(): Promise<void> {
    await this.#core.start(this)
  }

  override connectedCallback(): void {
    super.connectedCallback()
    window.addEventListener('online', this.#onOnline)
    document.addEventListener('visibilitychange', this.#onVisibility)
    this.#observer = new IntersectionObserver((entries) => {
      this.#isOnScreen = entries.at(-1)?.isIntersecting ?? false
      this.#onVisibility()
    })
    this.#observer.observe(this)
    if (this.hasUpdated) void this.restart()
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    window.removeEventListener('online', this.#onOnline)
    document.removeEventListener('visibilitychange', this.#onVisibility)
    this.#observer?.disconnect()
    this.#isOnScreen = false
    this.#core.stop()
    this.#grid.attach(null)
  }

  protected override willUpdate(changed: Map<PropertyKey, unknown>): void {
    this.#gridHadFocus = this.#grid.hasFocus()
    if (FILTER_PROPERTIES.some((name) => changed.has(name))) {
      this.#core.setFilter({ kind: this.kind, accept: parseAccept(this.accept) }, this.multiple)
    }
    if (START_PROPERTIES.some((name) => changed.has(name))) void this.restart()
  }

  protected override render(): unknown {
    const context = this.#context()
    const { core, t, isReadonly } = context
    const canDrop = !isReadonly && core.can('upload')
    return html`<div class="root" part="root">
      ${sideView(context)}
      <div class="pane">
        ${core.connectFlow.provider === null && core.browser.folder !== null ? toolbarView(context) : nothing}
        ${core.transferQueue.isNewFolderOpen && core.can('createFolder') ? newFolderView(context) : nothing}
        <div
          class="main ${this.#drops.isOver && canDrop ? 'over' : ''}"
          tabindex="-1"
          data-drop=${t('uploadHere')}
          @mousedown=${this.#onMouseDown}
          @dragover=${this.#drops.onDrag}
          @dragleave=${this.#drops.onDrag}
          @drop=${this.#drops.onDrop}
        >
          ${mainView(context, this.#grid)}
        </div>
        ${noticesView(context)} ${transfersView(context)} ${statusView(context)}
      </div>
      <input type="file" class="files" multiple hidden @change=${this.#onFiles} />
    </div>`
  }

  protected override updated(): void {
    const { browser } = this.#core
    const grid = this.#find('.grid')
    this.#grid.attach(grid)
    if (grid !== null) {
      const { connectionId, folderId } = browser.folder ?? {}
      this.#grid.update(this.#context(), JSON.stringify([connectionId, folderId]))
    }
    if (this.#movesFocus) this.#moveFocus(grid)
    // The last entry was removed, or the folder itself.
    else if (this.#gridHadFocus && grid === null) this.#find('.main')?.focus()
  }

  /** Moves the focus into the new folder, unless the user has moved it elsewhere meanwhile. */
  #moveFocus(grid: HTMLElement | null): void {
    const main = this.#find('.main')
    const { activeElement } = this.renderRoot as ShadowRoot
    if (activeElement === null) main?.focus()
    else if (activeElement !== main) this.#movesFocus = false
    if (this.#core.browser.loading.isBusy || !this.#movesFocus) return
    this.#movesFocus = false
    if (grid !== null) this.#grid.focus()
  }

  #context(): ViewContext {
    const locale = localeOf(this)
    if (this.#formats?.locale !== locale) this.#formats = { locale, format: formatFor(locale) }
    return {
      core: this.#core,
      t: translator(this.strings, locale),
      format: this.#formats.format,
      isReadonly: this.readonly,
      actions: this.#actions
    }
  }

  #find(selector: string): HTMLElement | null {
    return this.renderRoot.querySelector<HTMLElement>(selector)
  }

  #emit(type: keyof PickerEventMap, detail: object, cancelable = false): boolean {
    return this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true, cancelable }))
  }

  readonly #actions: ViewActions = pickerActions(this.#core, {
    downloadHref: (folder, id) => this.#api.downloadHref(folder, id),
    canOpen: (entry, { provider, connectionId }) => {
      const detail: OpenDetail = { entry, provider, connectionId }
      return this.#emit('open', detail, true)
    },
    chooseFiles: () => this.#find('.files')?.click(),
    onLeave: () => {
      this.#movesFocus = true
      this.#find('.main')?.focus()
    },
    onNewFolderToggle: (isOpen) => void this.#focusOn(isOpen ? '#folder' : '.main'),
    onChange: () => {
      this.requestUpdate()
    },
    onFieldError: () => void this.#focusOn('[aria-invalid="true"]')
  })

  async #focusOn(selector: string): Promise<void> {
    await this.updateComplete
    this.#find(selector)?.focus()
  }

  /** The second click of a double click may hit a row that has moved there. It must not select text. */
  readonly #onMouseDown = (event: MouseEvent): void => {
    if (event.detail > 1 && !(event.target instanceof HTMLInputElement)) event.preventDefault()
  }

  readonly #onFiles = ({ target }: Event): void => {
    if (!(target instanceof HTMLInputElement)) return
    this.#core.transferQueue.upload([...(target.files ?? [])])
    // Reset, so that choosing the same file again fires an event.
    target.value = ''
  }
}

/** Returns the landing page: absolute for cross-origin routes, since the channel works on this page's origin only. */
function returnToOf({ base, returnTo }: Pick<CloudFolderPickerElement, 'base' | 'returnTo'>): string | undefined {
  if (returnTo === null) return undefined
  const { baseURI } = document
  return new URL(base, baseURI).origin === location.origin ? returnTo : new URL(returnTo, baseURI).href
}

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
