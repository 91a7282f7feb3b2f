import type { Entry } from '../../../src/core/entry.ts'
import type { ConnectionView, Place, ProviderView } from '../api.ts'
import { saveBlob, saveLink } from '../files.ts'
import type { PickerCore } from '../state/picker.ts'
import { fileBehind, folderBehind, savedName } from '../state/selection.ts'
import { otherName, type Transfer } from '../state/transfers.ts'
import type { Format, Translate } from '../strings.ts'
import type { FormValues } from './form.ts'

/** The context of all views of the picker. */
export interface ViewContext {
  readonly core: PickerCore
  readonly t: Translate
  readonly format: Format
  readonly isReadonly: boolean
  readonly act: ViewActions
}

/** The handlers of the controls. */
export interface ViewActions {
  readonly visit: (connection: ConnectionView) => void
  /** Must be called from a click handler: it may open a window. */
  readonly connect: (provider: ProviderView, renewed: ConnectionView | null) => void
  readonly submit: (values: FormValues) => void
  readonly verify: (connection: ConnectionView) => void
  readonly climb: (index: number) => void
  readonly open: (entry: Entry) => void
  readonly download: (entry: Entry) => void
  readonly search: (query: string) => void
  readonly refresh: () => void
  /** Opens or closes the form for a new folder. */
  readonly make: (isOpen: boolean) => void
  readonly createFolder: (name: string) => void
  readonly chooseFiles: () => void
  readonly keepBoth: (transfer: Transfer) => void
}

/** The parts of the element that the actions need. */
export interface ActionPorts {
  /** Returns the URL of a plain download link, or `null` if a link is not enough. */
  hrefOf(place: Place, entryId: string): string | null
  /** Emits `open` to the host. Returns whether the host allows the folder to be opened. */
  mayOpen(entry: Entry, place: Place): boolean
  chooseFiles(): void
  /** Called before the focused folder is replaced. */
  onLeave(): void
  onMake(isOpen: boolean): void
  onChange(): void
  /** Called when a form contains an error. */
  onComplaint(): void
}

/** Returns the handlers of the picker's controls. */
export function pickerActions(core: PickerCore, ports: ActionPorts): ViewActions {
  const { browser, connecting, courier } = core

  function make(isOpen: boolean): void {
    courier.make(isOpen)
    ports.onMake(isOpen)
  }

  async function submit(values: FormValues): Promise<void> {
    await connecting.submit(values)
    if (Object.keys(connecting.complaints).length > 0) ports.onComplaint()
  }

  async function createFolder(name: string): Promise<void> {
    await courier.createFolder(name)
    ports.onMake(courier.isMaking)
  }

  return {
    visit: (connection) => {
      core.visit(connection)
    },
    connect: (provider, renewed) => {
      connecting.begin(provider, renewed)
    },
    submit: (values) => void submit(values),
    verify: (connection) => void core.verify(connection),
    climb: (index) => {
      ports.onLeave()
      void core.climb(index)
    },
    open: (entry) => {
      const { place } = browser
      if (place === null || !ports.mayOpen(entry, place) || folderBehind(entry) === null) return
      ports.onLeave()
      void core.enter(entry)
    },
    download: (entry) => {
      const { place } = browser
      const id = fileBehind(entry)
      if (place === null || id === null) return
      const href = ports.hrefOf(place, id)
      if (href === null) courier.download(place, id, entry, saveBlob)
      else saveLink(href, savedName(entry))
    },
    search: (query) => {
      core.query = query
      ports.onChange()
    },
    refresh: () => void browser.reload(),
    make,
    createFolder: (name) => void createFolder(name),
    chooseFiles: () => {
      ports.chooseFiles()
    },
    keepBoth: (transfer) => {
      courier.transfers.remove(transfer)
      transfer.renamed?.(otherName(transfer.name))
    }
  }
}
