import type { Entry } from '../../../src/core/entry.ts'
import type { ConnectionView, FolderRef, ProviderView } from '../api.ts'
import { saveBlob, saveLink } from '../files.ts'
import type { PickerCore } from '../state/picker.ts'
import { targetFileId, targetFolderId, downloadFileName } from '../state/selection.ts'
import { nextName, type Transfer } from '../state/transfers.ts'
import type { Format, Translate } from '../strings.ts'
import type { FormValues } from './form.ts'

/** The context of all views of the picker. */
export interface ViewContext {
  readonly core: PickerCore
  readonly t: Translate
  readonly format: Format
  readonly isReadonly: boolean
  readonly actions: ViewActions
}

/** The handlers of the controls. */
export interface ViewActions {
  readonly openConnection: (connection: ConnectionView) => void
  /** Must be called from a click handler: it may open a window. */
  readonly connect: (provider: ProviderView, existing: ConnectionView | null) => void
  readonly submit: (values: FormValues) => void
  readonly verify: (connection: ConnectionView) => void
  readonly openAncestor: (index: number) => void
  readonly open: (entry: Entry) => void
  readonly download: (entry: Entry) => void
  readonly search: (query: string) => void
  readonly refresh: () => void
  /** Opens or closes the form for a new folder. */
  readonly toggleNewFolder: (isOpen: boolean) => void
  readonly createFolder: (name: string) => void
  readonly chooseFiles: () => void
  readonly keepBoth: (transfer: Transfer) => void
}

/** The parts of the element that the actions need. */
export interface ActionPorts {
  /** Returns the URL of a plain download link, or `null` if a link is not enough. */
  downloadHref(folder: FolderRef, entryId: string): string | null
  /** Emits `open` to the host. Returns whether the host allows the folder to be opened. */
  canOpen(entry: Entry, folder: FolderRef): boolean
  chooseFiles(): void
  /** Called before the focused folder is replaced. */
  onLeave(): void
  onNewFolderToggle(isOpen: boolean): void
  onChange(): void
  /** Called when a form contains an error. */
  onFieldError(): void
}

/** Returns the handlers of the picker's controls. */
export function pickerActions(core: PickerCore, ports: ActionPorts): ViewActions {
  const { browser, connectFlow, transferQueue } = core

  function toggleNewFolder(isOpen: boolean): void {
    transferQueue.toggleNewFolder(isOpen)
    ports.onNewFolderToggle(isOpen)
  }

  async function submit(values: FormValues): Promise<void> {
    await connectFlow.submit(values)
    if (Object.keys(connectFlow.fieldErrors).length > 0) ports.onFieldError()
  }

  async function createFolder(name: string): Promise<void> {
    await transferQueue.createFolder(name)
    ports.onNewFolderToggle(transferQueue.isNewFolderOpen)
  }

  return {
    openConnection: (connection) => {
      core.visit(connection)
    },
    connect: (provider, existing) => {
      connectFlow.start(provider, existing)
    },
    submit: (values) => void submit(values),
    verify: (connection) => void core.verify(connection),
    openAncestor: (index) => {
      ports.onLeave()
      void core.openAncestor(index)
    },
    open: (entry) => {
      const { folder } = browser
      if (folder === null || !ports.canOpen(entry, folder) || targetFolderId(entry) === null) return
      ports.onLeave()
      void core.enter(entry)
    },
    download: (entry) => {
      const { folder } = browser
      const id = targetFileId(entry)
      if (folder === null || id === null) return
      const href = ports.downloadHref(folder, id)
      if (href === null) transferQueue.download(folder, id, entry, saveBlob)
      else saveLink(href, downloadFileName(entry))
    },
    search: (query) => {
      core.query = query
      ports.onChange()
    },
    refresh: () => void core.refresh(),
    toggleNewFolder,
    createFolder: (name) => void createFolder(name),
    chooseFiles: () => {
      ports.chooseFiles()
    },
    keepBoth: (transfer) => {
      transferQueue.transfers.remove(transfer)
      transfer.retryAs?.(nextName(transfer.name))
    }
  }
}
