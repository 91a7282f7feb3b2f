import type { Ability, Capabilities } from '../../core/backend.ts'
import type { ConnectionStatus } from '../../core/connection.ts'
import type { Entry, EntryKind, IncompleteReason, Listing, ListingOrder, ShortcutTarget } from '../../core/entry.ts'
import type { ProviderDefinition } from '../../core/provider.ts'
import { STORAGE_ERROR_CODES } from '../../errors.ts'

/** Examples of responses. A test validates each against its schema. */

export const entryExample = {
  id: 'Invoices/2026.pdf',
  parentId: 'Invoices/',
  driveId: null,
  name: '2026.pdf',
  kind: 'file',
  mimeType: 'application/pdf',
  size: 48_213,
  createdAt: null,
  modifiedAt: '2026-11-02T08:30:00.000Z',
  version: '9b2cf535f27731c974343645a3985328',
  hash: null,
  exportFormats: [],
  target: null,
  webUrl: null,
  thumbnailUrl: null,
  path: 'Invoices/2026.pdf',
  can: { list: false, download: true, write: null }
} as const satisfies Entry

export const folderExample = {
  ...entryExample,
  id: 'Invoices/2027/',
  name: '2027',
  kind: 'folder',
  mimeType: null,
  size: null,
  modifiedAt: null,
  version: null,
  path: 'Invoices/2027/',
  can: { list: true, download: false, write: null }
} as const satisfies Entry

export const listingExample = {
  provider: 's3',
  connectionId: 'cab5aca4-1388-4e3c-8342-996064162c42',
  folder: { id: 'Invoices/', name: 'Invoices', parentId: null },
  entries: [folderExample, entryExample],
  page: { next: null, complete: true, reason: null, order: 'folder-then-name' }
} as const satisfies Listing

export const connectionExample = {
  id: 'cab5aca4-1388-4e3c-8342-996064162c42',
  provider: 's3',
  label: 'Archive',
  account: 'https://s3.example.org/archive#AKIAIOSFODNN7EXAMPLE',
  status: 'ACTIVE',
  default: true,
  createdAt: '2026-11-02T08:30:00.000Z',
  lastError: null
} as const

export const connectionsExample = { connections: [connectionExample] } as const

export const providersExample = {
  providers: [
    {
      id: 'webdav',
      label: 'WebDAV',
      connect: {
        type: 'credentials',
        schema: {
          type: 'object',
          additionalProperties: false,
          required: ['baseUrl'],
          properties: {
            baseUrl: { type: 'string', title: 'Address', minLength: 1, maxLength: 1024 },
            username: { type: 'string', title: 'User name' },
            password: { type: 'string', title: 'Password', writeOnly: true }
          }
        }
      },
      capabilities: {
        paging: 'emulated',
        kindFilter: 'emulated',
        rangeDownload: 'native',
        upload: 'native',
        createOnly: 'native',
        updateIfMatch: 'native',
        atomicReplace: 'unsupported',
        remove: 'native',
        createFolder: 'native',
        downloadUrl: 'unsupported',
        changes: 'unsupported'
      }
    }
  ]
} as const

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
export function closedObject(properties: Properties, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return { type: 'object', additionalProperties: false, required, properties }
}

const text = (description?: string): Schema => ({ type: 'string', ...(description !== undefined && { description }) })
const nullableText = (description?: string): Schema => ({ ...text(description), type: ['string', 'null'] })
const NULLABLE_TIME = { type: ['string', 'null'], format: 'date-time' }
const NULLABLE_FLAG = { type: ['boolean', 'null'] }

const KINDS = ['file', 'folder', 'drive', 'package', 'link', 'shortcut'] as const satisfies readonly EntryKind[]
const REASONS = ['more', 'provider-partial', 'page-cap', 'duplicate-cursor'] as const satisfies IncompleteReason[]
const ORDERS = ['folder-then-name', 'provider'] as const satisfies ListingOrder[]
const TARGET_STATES = ['ok', 'dangling', 'denied', 'unknown'] as const satisfies ShortcutTarget['state'][]
const STATUSES = ['ACTIVE', 'REQUIRES_REAUTH', 'ERROR', 'DISABLED'] as const satisfies ConnectionStatus[]
const FORM_CONNECT_TYPES = ['credentials', 'login-flow'] as const satisfies ProviderDefinition['connect']['type'][]
const ABILITIES = ['native', 'emulated', 'unsupported'] as const satisfies Ability[]

const ABILITY_DESCRIPTIONS = {
  paging: 'Lists folders in pages.',
  kindFilter: 'Lists only folders or only files.',
  rangeDownload: 'Downloads parts of a file.',
  upload: 'Uploads files.',
  createOnly: 'Uploads with `If-None-Match: *`: never overwrites a file.',
  updateIfMatch: 'Uploads with `If-Match`: replaces only the given version.',
  atomicReplace: 'Replaces a file in one step: an interrupted upload leaves the old content.',
  remove: 'Removes files.',
  createFolder: 'Creates folders.',
  downloadUrl: 'Provides download links that need no credentials.',
  changes: 'Reports changes, so that cached listings are confirmed instead of loaded again.'
} satisfies Record<keyof Capabilities, string>

const entry = {
  description: 'An entry of a folder. `null` means unknown, never "none".',
  ...closedObject({
    id: text('The provider’s opaque id. Accepted by `folder`, `id` and `parent`.'),
    parentId: nullableText(),
    driveId: nullableText(),
    name: text('The name at the provider, verbatim. Plain text, not markup or a path.'),
    kind: { type: 'string', enum: KINDS },
    mimeType: nullableText(),
    size: { type: ['integer', 'null'], minimum: 0, description: 'The size in bytes.' },
    createdAt: NULLABLE_TIME,
    modifiedAt: NULLABLE_TIME,
    version: nullableText('Changes with the content. `If-Match` takes it in double quotes.'),
    hash: {
      description: 'The provider’s digest of the content, in the provider’s notation.',
      oneOf: [ref('ContentHash'), { type: 'null' }]
    },
    exportFormats: { type: 'array', items: ref('ExportFormat') },
    target: { description: 'The target of a shortcut.', oneOf: [ref('ShortcutTarget'), { type: 'null' }] },
    webUrl: nullableText('The page of the entry at the provider.'),
    thumbnailUrl: nullableText(),
    path: nullableText(),
    can: {
      description: 'The user’s permissions on the entry.',
      ...closedObject({ list: NULLABLE_FLAG, download: NULLABLE_FLAG, write: NULLABLE_FLAG })
    }
  }),
  examples: [entryExample]
}

const listing = {
  description: 'One page of a folder.',
  ...closedObject({
    provider: text(),
    connectionId: text(),
    folder: ref('FolderInfo'),
    entries: { type: 'array', items: ref('Entry') },
    page: ref('Page')
  }),
  examples: [listingExample]
}

const page = {
  description: 'The next page, and whether the listing is complete.',
  ...closedObject({
    next: nullableText('The `cursor` of the next page; `null` if there is none.'),
    complete: { type: 'boolean', description: 'True only if the provider reported that nothing follows this page.' },
    reason: { type: ['string', 'null'], enum: [...REASONS, null], description: 'Why the listing is not complete.' },
    order: { type: 'string', enum: ORDERS }
  })
}

const connection = {
  description: 'A user’s connection to a cloud. Contains no secrets.',
  ...closedObject({
    id: text(),
    provider: text(),
    label: text('The user’s name for the connection.'),
    account: text('The account at the provider.'),
    status: { type: 'string', enum: STATUSES },
    default: { type: 'boolean', description: 'Whether it is used by requests that name no connection.' },
    createdAt: { type: 'string', format: 'date-time' },
    lastError: { type: ['string', 'null'], description: 'The error code of the last failure.' }
  }),
  examples: [connectionExample]
}

const formField = {
  type: 'object',
  description: 'JSON Schema (draft 7) of one field. Secrets are `writeOnly`.',
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
  description: 'JSON Schema (draft 7) of the form.',
  ...closedObject(
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
  description: 'The operations that a provider supports: natively, emulated by this package, or not at all.',
  ...closedObject(
    Object.fromEntries(
      Object.entries(ABILITY_DESCRIPTIONS).map(([name, description]) => [
        name,
        { type: 'string', enum: ABILITIES, description }
      ])
    )
  )
}

const provider = {
  description: 'An enabled provider.',
  ...closedObject({
    id: text(),
    label: text('The name of the service, for display.'),
    connect: {
      description: 'How users connect: by OAuth in the browser, or with a form.',
      oneOf: [
        closedObject({ type: { type: 'string', const: 'oauth2' } }),
        closedObject({ type: { type: 'string', enum: FORM_CONNECT_TYPES }, schema: ref('Form') })
      ]
    },
    capabilities: ref('Capabilities')
  })
}

const problem = {
  description:
    'An error (RFC 9457). Act on `code`, which is stable; the texts may change. Errors of the application’s own hooks keep their status and code.',
  ...closedObject(
    {
      type: text('`urn:fastify-cloud-storage:error:CODE`'),
      title: text(),
      status: { type: 'integer', minimum: 400, maximum: 599 },
      detail: text('A message for people. Contains no secrets.'),
      code: { type: 'string', enum: STORAGE_ERROR_CODES },
      requestId: text('The id of the request in the server’s log.')
    },
    ['detail']
  )
}

/** The schemas of responses, by their names in the document. */
export const MODELS: Readonly<Record<string, Schema>> = {
  Entry: entry,
  ContentHash: closedObject({ algorithm: text(), value: text() }),
  ExportFormat: closedObject({ mimeType: text('The value for `exportAs`.'), extension: text() }),
  ShortcutTarget: closedObject({
    id: nullableText(),
    kind: { type: ['string', 'null'], enum: [...KINDS, null] },
    mimeType: nullableText(),
    state: { type: 'string', enum: TARGET_STATES }
  }),
  FolderInfo: {
    description: 'The listed folder. A field is `null` if the listing does not contain it.',
    ...closedObject({ id: nullableText(), name: nullableText(), parentId: nullableText() })
  },
  Page: page,
  Listing: listing,
  Connection: connection,
  Connections: {
    ...closedObject({ connections: { type: 'array', items: ref('Connection') } }),
    examples: [connectionsExample]
  },
  Capabilities: capabilities,
  FormField: formField,
  Form: form,
  Provider: provider,
  Providers: {
    ...closedObject({ providers: { type: 'array', items: ref('Provider') } }),
    examples: [providersExample]
  },
  Problem: problem
}
