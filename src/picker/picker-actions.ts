import type { Entry } from '../domain/entry.ts'
import { saveBlob, saveLink } from './files.ts'
import { fileBehind, folderBehind, savedName } from './entry-rules.ts'
import type { Place } from './picker-api.ts'
import type { PickerCore } from './picker-core.ts'
import type { FormValues } from './schema-form.ts'
import { otherName } from './transfers.ts'
import type { ViewActions } from './view-context.ts'

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
