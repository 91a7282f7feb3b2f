import type { Entry } from '../domain/entry.ts'
import { saveBlob, saveLink } from './files.ts'
import { fileBehind, folderBehind, savedName } from './entry-rules.ts'
import type { Place } from './picker-api.ts'
import type { PickerCore } from './picker-core.ts'
import type { FormValues } from './schema-form.ts'
import { otherName } from './transfers.ts'
import type { ViewActions } from './view-context.ts'

/** What actions need of the element. */
export interface ActionPorts {
  /** Where a plain link downloads from; `null`: it cannot. */
  hrefOf(place: Place, entryId: string): string | null
  /** Tells the host. Whether it lets a folder be shown. */
  mayOpen(entry: Entry, place: Place): boolean
  chooseFiles(): void
  /** The folder that had the focus is about to go. */
  onLeave(): void
  onMake(isOpen: boolean): void
  onChange(): void
  /** Something in a form is wrong. */
  onComplaint(): void
}

/** What the controls of the picker do. */
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
