import { html, type TemplateResult } from 'lit'
import type { Entry } from '../../../src/core/entry.ts'
import { effectiveKind, mediaTypeOf } from '../state/selection.ts'

/** Outlines on a 24 × 24 grid, one path each. */
const PATHS = {
  folder: 'M3 6h6l2 2h10v11H3z',
  drive: 'M4 5h16l2 9v5H2v-5zM2 14h20M17 16.5h2',
  package: 'M12 3l8 4v10l-8 4-8-4V7zM4 7l8 4 8-4M12 11v10',
  link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1',
  file: 'M6 3h8l4 4v14H6zM14 3v4h4',
  text: 'M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 15h6M9 18h4',
  sheet: 'M6 3h8l4 4v14H6zM14 3v4h4M9 11h6v7H9zM9 14.5h6M12 11v7',
  image: 'M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 6M15.5 9.5h.01',
  audio: 'M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z',
  video: 'M3 6h12v12H3zM15 11l6-4v10l-6-4',
  archive: 'M4 4h16v4H4zM5 8h14v12H5zM10 12h4',
  download: 'M12 4v11M7 10l5 5 5-5M4 20h16',
  upload: 'M12 16V5M7 10l5-5 5 5M4 20h16',
  refresh: 'M20 6v5h-5M19.5 11a8 8 0 1 0 .5 4',
  add: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6L6 18',
  check: 'M4 12l6 6L20 6',
  warning: 'M12 4l9 16H3zM12 10v4M12 17h.01'
} as const

export type IconName = keyof typeof PATHS

/** Renders a decorative icon. The text beside it or the label of its parent carries the meaning. */
export function icon(name: IconName): TemplateResult {
  return html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]}></path></svg>`
}

/** Returns the path of an entry's icon, for a table with many entries. */
export function pathOf(entry: Entry): string {
  return PATHS[iconNameOf(entry)]
}

function iconNameOf(entry: Entry): IconName {
  const kind = effectiveKind(entry)
  if (kind !== 'file') return kind === 'shortcut' ? 'link' : kind
  const type = mediaTypeOf(entry) ?? ''
  if (type.startsWith('image/')) return 'image'
  if (type.startsWith('audio/')) return 'audio'
  if (type.startsWith('video/')) return 'video'
  if (/sheet|excel|csv/.test(type)) return 'sheet'
  if (/zip|tar|compress|rar/.test(type)) return 'archive'
  return /^text\/|word|document|pdf|rtf|presentation|powerpoint/.test(type) ? 'text' : 'file'
}
