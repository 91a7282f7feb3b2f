import type { Format } from '../picker/format.ts'
import type { Translate } from '../picker/strings.ts'
import type { PageCore } from './page-core.ts'

/** What each part of the page is drawn from. */
export interface PageContext {
  readonly core: PageCore
  readonly format: Format
  /** The picker's texts, for what can go wrong. */
  readonly t: Translate
  /** Files are held over the documents. */
  readonly isDropping: boolean
  readonly chooseFiles: () => void
  readonly drops: { readonly onDrag: (event: DragEvent) => void; readonly onDrop: (event: DragEvent) => void }
}
