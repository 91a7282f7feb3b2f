import type { PropertyDeclarations } from 'lit'

/** Replaces Lit's default converter, which sets the property to `null` when the attribute is removed. */
const textOr = (fallback: string) => ({ fromAttribute: (value: string | null) => value ?? fallback })

/** The properties of the element and their attributes. */
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

/** Defaults. The constructor assigns them, because a class field would hide the accessor of the same name. */
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

/** The properties that decide where the picker starts. */
export const PLACE = ['base', 'provider', 'connection', 'folder'] as const
/** The properties that decide which entries can be selected. */
export const FILTER = ['kind', 'accept', 'multiple'] as const
