import type { Entry } from '../domain/entry.ts'
import type { Format } from './format.ts'
import type { ConnectionView, ProviderView } from './picker-api.ts'
import type { PickerCore } from './picker-core.ts'
import type { FormValues } from './schema-form.ts'
import type { Translate } from './strings.ts'
import type { Transfer } from './transfers.ts'

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
