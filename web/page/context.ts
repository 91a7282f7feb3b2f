import type { Format, Translate } from '../picker/strings.ts'
import type { PageCore } from './state.ts'

/** The context of all views of the page. */
export interface PageContext {
  readonly core: PageCore
  readonly format: Format
  /** The picker's texts, for error messages. */
  readonly t: Translate
  /** Whether files are being dragged over the documents. */
  readonly isDropping: boolean
  readonly chooseFiles: () => void
  readonly dropZone: { readonly onDrag: (event: DragEvent) => void; readonly onDrop: (event: DragEvent) => void }
}
