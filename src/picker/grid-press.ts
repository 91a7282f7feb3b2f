import type { Entry } from '../domain/entry.ts'
import { isSelectable } from './entry-rules.ts'
import type { PickerCore } from './picker-core.ts'
import type { ViewContext } from './view-context.ts'

/**
 * Handles a key press in the table.
 * @param entry the entry of the focused row
 * @param walk moves to another cell; with `extending`, extends the selection to it
 * @returns whether the key was handled
 */
export function press(
  event: KeyboardEvent,
  entry: Entry,
  { core, act }: ViewContext,
  walk: (key: string, isCtrl: boolean, extending: PickerCore | null) => boolean
): boolean {
  const { key, shiftKey, altKey } = event
  const { selection, browser, selectable } = core
  const isCtrl = event.ctrlKey || event.metaKey
  const isButton = event.target instanceof HTMLButtonElement
  if (key === 'Backspace' || (altKey && key === 'ArrowUp')) {
    if (browser.trail.length > 1) act.climb(browser.trail.length - 2)
  } else if (altKey || (isButton && (key === ' ' || key === 'Enter'))) {
    return false
  } else if (isCtrl && key.toLowerCase() === 'a') {
    selection.toggleAll(selectable)
  } else if (key === 'Enter') {
    act.open(entry)
  } else if (key === ' ') {
    if (!isSelectable(entry, core.filter)) return true
    if (shiftKey) selection.extendTo(entry.id, selectable)
    else selection.toggle(entry)
  } else {
    return walk(key, isCtrl, shiftKey && selection.isMultiple ? core : null)
  }
  return true
}
