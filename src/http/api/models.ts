import type { ConnectionStatus } from '../../domain/connection.ts'
import type { EntryKind, IncompleteReason, ListingOrder, ShortcutTarget } from '../../domain/entry.ts'
import { STORAGE_ERROR_CODES } from '../../domain/errors.ts'
import type { ProviderDefinition } from '../../domain/provider.ts'
import type { Ability, Capabilities } from '../../domain/storage-backend.ts'
import { connectionExample, connectionsExample, entryExample, listingExample, providersExample } from './examples.ts'

/** A JSON Schema for the description. It never validates anything. */
export type Schema = Readonly<Record<string, unknown>>

/** The prefix of schema ids, next to the host's schemas. */
export const MODEL_PREFIX = 'fastify-cloud-storage.'

/** Returns a reference to the model of that name. */
export function ref(name: string): Schema {
  return { $ref: `${MODEL_PREFIX}${name}#` }
}

type Properties = Readonly<Record<string, Schema>>

/** Returns the schema of an object with these properties and no others. All but `optional` are required. */
export function closed(properties: Properties, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return { type: 'object', additionalProperties: false, required, properties }
}

const text = (description?: string): Schema => ({ type: 'string', ...(description !== undefined && { description }) })
const known = (description?: string): Schema => ({ ...text(description), type: ['string', 'null'] })
const TIME = { type: ['string', 'null'], format: 'date-time' }
const FLAG = { type: ['boolean', 'null'] }

const KINDS = ['file', 'folder', 'drive', 'package', 'link', 'shortcut'] as const satisfies readonly EntryKind[]
const REASONS = ['more', 'provider-partial', 'page-cap', 'duplicate-cursor'] as const satisfies IncompleteReason[]
const ORDERS = ['folder-then-name', 'provider'] as const satisfies ListingOrder[]
const TARGET_STATES = ['ok', 'dangling', 'denied', 'unknown'] as const satisfies ShortcutTarget['state'][]
const STATUSES = ['ACTIVE', 'REQUIRES_REAUTH', 'ERROR', 'DISABLED'] as const satisfies ConnectionStatus[]
const WAYS = ['credentials', 'login-flow'] as const satisfies ProviderDefinition['connect']['type'][]
const ABILITIES = ['native', 'emulated', 'unsupported'] as const satisfies Ability[]

const ABILITY_NAMES = {
  paging: 'Gives a folder in pages.',
  kindFilter: 'Can be asked for folders or files alone.',
  rangeDownload: 'Gives parts of a content.',
  upload: 'Takes content.',
  createOnly: 'Takes content under `If-None-Match: *`.',
  updateIfMatch: 'Takes content under `If-Match`.',
  atomicReplace: 'Replaces a file in one step: an interrupted upload leaves the old content.',
  remove: 'Removes files.',
  createFolder: 'Makes folders.',
  downloadUrl: 'Gives links that need no credentials.'
} satisfies Record<keyof Capabilities, string>

const entry = {
  description: 'One item of a folder. `null` means unknown, never "none".',
  ...closed({
    id: text('The provider’s own, opaque: what `folder` and `id` take.'),
    parentId: known(),
    driveId: known(),
    name: text('As the provider has it: text, never markup or a path.'),
    kind: { type: 'string', enum: KINDS },
    mimeType: known(),
    size: { type: ['integer', 'null'], minimum: 0, description: 'In bytes.' },
    createdAt: TIME,
    modifiedAt: TIME,
    version: known('Changes with the content: what `If-Match` takes, in quotes.'),
    hash: {
      description: 'The provider’s digest of the content, in its own notation.',
      oneOf: [ref('ContentHash'), { type: 'null' }]
    },
    exportFormats: { type: 'array', items: ref('ExportFormat') },
    target: { description: 'Where a shortcut leads.', oneOf: [ref('ShortcutTarget'), { type: 'null' }] },
    webUrl: known('Where the provider shows it.'),
    thumbnailUrl: known(),
    path: known(),
    can: { description: 'What the user may do with it.', ...closed({ list: FLAG, download: FLAG, write: FLAG }) }
  }),
  examples: [entryExample]
}

const listing = {
  description: 'One page of a folder.',
  ...closed({
    provider: text(),
    connectionId: text(),
    folder: ref('FolderInfo'),
    entries: { type: 'array', items: ref('Entry') },
    page: ref('Page')
  }),
  examples: [listingExample]
}

const page = {
  description: 'Where the page stands in its folder.',
  ...closed({
    next: known('What `cursor` takes for the next page.'),
    complete: { type: 'boolean', description: 'True only where the provider said that nothing is missing.' },
    reason: { type: ['string', 'null'], enum: [...REASONS, null], description: 'Why it is not complete.' },
    order: { type: 'string', enum: ORDERS }
  })
}

const connection = {
  description: 'A user’s link to a cloud. Never a secret.',
  ...closed({
    id: text(),
    provider: text(),
    label: text('The user’s own name for it.'),
    account: text('Which account it is at the provider.'),
    status: { type: 'string', enum: STATUSES },
    default: { type: 'boolean', description: 'Meant where a request names none.' },
    createdAt: { type: 'string', format: 'date-time' },
    lastError: { type: ['string', 'null'], description: 'The code of its last failure.' }
  }),
  examples: [connectionExample]
}

const formField = {
  type: 'object',
  description: 'JSON Schema (draft 7) of one field. A secret is `writeOnly`.',
  properties: {
    type: text(),
    title: text(),
    description: text(),
    default: {},
    enum: { type: 'array', items: {} },
    minLength: { type: 'integer' },
    maxLength: { type: 'integer' },
    minimum: { type: 'number' },
    maximum: { type: 'number' },
    pattern: text(),
    writeOnly: { type: 'boolean' }
  },
  additionalProperties: true
}

const form = {
  description: 'JSON Schema (draft 7) of the fields to type.',
  ...closed(
    {
      type: { type: 'string', const: 'object' },
      properties: { type: 'object', additionalProperties: ref('FormField') },
      required: { type: 'array', items: text() },
      additionalProperties: { type: 'boolean' }
    },
    ['required', 'additionalProperties']
  )
}

const capabilities = {
  description: 'What a provider can do: itself, by means of something else, or not at all.',
  ...closed(
    Object.fromEntries(
      Object.entries(ABILITY_NAMES).map(([name, description]) => [
        name,
        { type: 'string', enum: ABILITIES, description }
      ])
    )
  )
}

const provider = {
  description: 'A kind of cloud that is enabled here.',
  ...closed({
    id: text(),
    label: text('The service’s own name, for people.'),
    connect: {
      description: 'How it is connected: in the browser, or by a form.',
      oneOf: [
        closed({ type: { type: 'string', const: 'oauth2' } }),
        closed({ type: { type: 'string', enum: WAYS }, schema: ref('Form') })
      ]
    },
    capabilities: ref('Capabilities')
  })
}

const problem = {
  description:
    'RFC 9457. Act on `code`: it is stable, the words are not. An error of the application’s own hooks keeps its own status and code.',
  ...closed(
    {
      type: text('`urn:fastify-cloud-storage:error:CODE`'),
      title: text(),
      status: { type: 'integer', minimum: 400, maximum: 599 },
      detail: text('For people. It never holds a secret.'),
      code: { type: 'string', enum: STORAGE_ERROR_CODES },
      requestId: text('Under which the server’s log has the rest.')
    },
    ['detail']
  )
}

/** The schemas of responses, by their names in the document. */
export const MODELS: Readonly<Record<string, Schema>> = {
  Entry: entry,
  ContentHash: closed({ algorithm: text(), value: text() }),
  ExportFormat: closed({ mimeType: text('What `exportAs` takes.'), extension: text() }),
  ShortcutTarget: closed({
    id: known(),
    kind: { type: ['string', 'null'], enum: [...KINDS, null] },
    mimeType: known(),
    state: { type: 'string', enum: TARGET_STATES }
  }),
  FolderInfo: {
    description: 'The listed folder itself, as far as its listing tells.',
    ...closed({ id: known(), name: known(), parentId: known() })
  },
  Page: page,
  Listing: listing,
  Connection: connection,
  Connections: {
    ...closed({ connections: { type: 'array', items: ref('Connection') } }),
    examples: [connectionsExample]
  },
  Capabilities: capabilities,
  FormField: formField,
  Form: form,
  Provider: provider,
  Providers: { ...closed({ providers: { type: 'array', items: ref('Provider') } }), examples: [providersExample] },
  Problem: problem
}
