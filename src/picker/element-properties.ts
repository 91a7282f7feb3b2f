import type { PropertyDeclarations } from 'lit'

/** Lit's own would make `null` of an attribute that is taken away. */
const textOr = (fallback: string) => ({ fromAttribute: (value: string | null) => value ?? fallback })

/** The properties, and the attributes of those that have one. */
export const PROPERTIES: PropertyDeclarations = {
  base: { converter: textOr('/cloud') },
  provider: {},
  connection: {},
  folder: {},
  kind: {},
  accept: { converter: textOr('') },
  multiple: { type: Boolean },
  limit: { type: Number },
  readonly: { type: Boolean },
  returnTo: { attribute: 'return-to' },
  strings: { attribute: false },
  headers: { attribute: false },
  getHeaders: { attribute: false },
  credentials: {},
  fetch: { attribute: false }
}

/** Set by the constructor, since a field would hide the accessor of its name. */
export const DEFAULTS = {
  base: '/cloud',
  provider: null,
  connection: null,
  folder: null,
  kind: null,
  accept: '',
  multiple: false,
  limit: 200,
  readonly: false,
  returnTo: null,
  strings: {},
  headers: null,
  getHeaders: null,
  credentials: null,
  fetch: null
} as const

/** What decides where the picker begins. */
export const PLACE = ['base', 'provider', 'connection', 'folder'] as const
/** What decides which entries may be selected. */
export const FILTER = ['kind', 'accept', 'multiple'] as const
