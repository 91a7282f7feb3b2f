import type { PageParameters } from '../core/backend.ts'
import { MAX_CURSOR_LENGTH } from '../core/entry.ts'
import type { ObjectSchema } from '../core/provider.ts'

export interface ListingQuery extends PageParameters {
  readonly folder?: string
  readonly connection?: string
  readonly cursor?: string
  readonly refresh: boolean
}

const connectionSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 128,
  description: 'The id of a connection. Default: the user’s only connection to the provider, or the default one.'
} as const

export const listingQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    folder: { type: 'string', description: 'The `id` of a folder. Default: the root.' },
    connection: connectionSchema,
    cursor: {
      type: 'string',
      minLength: 1,
      maxLength: MAX_CURSOR_LENGTH,
      description: '`page.next` of the previous page, with the same `folder`, `limit` and `kind`.'
    },
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: 200, description: 'Entries per page.' },
    kind: { type: 'string', enum: ['folder', 'file'], description: 'Lists only entries of this kind.' },
    refresh: { type: 'boolean', default: false, description: 'Invalidates the cached pages of the folder first.' }
  }
} as const

export interface EventsQuery {
  readonly connection: string
  readonly folder: readonly string[]
}

export const eventsQuerySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['connection', 'folder'],
  properties: {
    connection: { type: 'string', minLength: 1, maxLength: 128, description: 'The id of a connection.' },
    folder: {
      type: 'array',
      minItems: 1,
      maxItems: 20,
      items: { type: 'string', minLength: 1, maxLength: 8192 },
      description: 'The `id` of a folder, or `root`. May be repeated.'
    }
  }
} as const

export interface ContentQuery {
  readonly id: string
  readonly connection?: string
  readonly exportAs?: string
}

const objectSchema = { type: 'string', description: 'The `id` of an entry.' } as const

export const contentQuerySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: {
    id: objectSchema,
    connection: connectionSchema,
    exportAs: {
      type: 'string',
      minLength: 1,
      maxLength: 255,
      description: 'The `mimeType` of one of the entry’s `exportFormats`. Default: the first.'
    }
  }
} as const

export type RemovalQuery = Omit<ContentQuery, 'exportAs'>

export const removalQuerySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: { id: objectSchema, connection: connectionSchema }
} as const

export interface UploadQuery {
  readonly id?: string
  readonly parent?: string
  readonly name?: string
  readonly connection?: string
}

export const uploadQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    id: { type: 'string', description: 'The `id` of a file to replace.' },
    parent: { type: 'string', description: 'The `id` of the folder. Default: the root.' },
    name: { type: 'string', description: 'The name of the file.' },
    connection: connectionSchema
  }
} as const

export interface FolderQuery {
  readonly connection?: string
}

export const folderQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: { connection: connectionSchema }
} as const

export interface NewFolder {
  readonly parentId?: string | null
  readonly name: string
}

/** The body that creates a folder; without `parentId`, or with `null`, in the root. */
export const newFolderSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['name'],
  properties: {
    parentId: { type: ['string', 'null'], description: 'The `id` of the parent folder. Default or `null`: the root.' },
    name: { type: 'string' }
  },
  examples: [{ parentId: 'Invoices/', name: '2027' }]
} as const

/** The user's own name for a connection, next to the provider's fields in the body. */
export const labelSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 200,
  description: 'The user’s name for the connection.'
} as const

/** Returns the schema of the body that connects a provider with these fields. */
export function credentialsSchema(fields: ObjectSchema): ObjectSchema {
  return { ...fields, properties: { label: labelSchema, ...fields.properties } }
}

/** The body that begins a login flow: the server, and the label of the new connection. */
export const loginFlowSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['baseUrl'],
  properties: {
    label: labelSchema,
    baseUrl: { type: 'string', minLength: 1, maxLength: 1024, description: 'The address of the server.' }
  }
} as const

/** The body that begins an OAuth flow: the URL to return to, and the label of the new connection. */
export const oauthFlowSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    label: labelSchema,
    returnTo: { type: 'string', minLength: 1, maxLength: 2048, description: 'In the application or an allowed origin.' }
  }
} as const

/** The fields of a connection that users may change. */
export const connectionChangesSchema = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: {
    label: labelSchema,
    default: { type: 'boolean', description: 'Whether it is used by requests that name no connection.' }
  },
  examples: [{ label: 'Archive', default: true }]
} as const
