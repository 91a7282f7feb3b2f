import { PickerElement, type CloudFolderPickerElement } from './element.ts'

export type { CloudFolderPickerElement, OpenDetail, PickerEventMap, SelectDetail } from './element.ts'
export type { PickerProblem } from './problem.ts'
export { ENGLISH as englishStrings, type PickerStrings, type StringKey } from './strings.ts'
export { LANDING_CHANNEL as landingChannel } from './popup.ts'

/** The class of `<cloud-folder-picker>`. Importing this module defines the element. */
export const CloudFolderPicker: { new (): CloudFolderPickerElement; readonly prototype: CloudFolderPickerElement } =
  PickerElement

const NAME = 'cloud-folder-picker'
// A page may load two copies of this file.
if (customElements.get(NAME) === undefined) customElements.define(NAME, PickerElement)

declare global {
  interface HTMLElementTagNameMap {
    'cloud-folder-picker': CloudFolderPickerElement
  }
}
