import { MAX_CURSOR_LENGTH } from '../domain/entry.ts'

export interface ListingQuery {
  readonly folder?: string
  readonly connection?: string
  readonly cursor?: string
  readonly limit: number
  readonly kind?: 'folder' | 'file'
  readonly refresh: boolean
}

const connectionSchema = { type: 'string', minLength: 1, maxLength: 128 } as const

export const listingQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    folder: { type: 'string' },
    connection: connectionSchema,
    cursor: { type: 'string', minLength: 1, maxLength: MAX_CURSOR_LENGTH },
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: 200 },
    kind: { type: 'string', enum: ['folder', 'file'] },
    refresh: { type: 'boolean', default: false }
  }
} as const

export interface ContentQuery {
  readonly id: string
  readonly connection?: string
  readonly exportAs?: string
}

export const contentQuerySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: {
    id: { type: 'string' },
    connection: connectionSchema,
    exportAs: { type: 'string', minLength: 1, maxLength: 255 }
  }
} as const

export type RemovalQuery = Omit<ContentQuery, 'exportAs'>

export const removalQuerySchema = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: { id: { type: 'string' }, connection: connectionSchema }
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
    id: { type: 'string' },
    parent: { type: 'string' },
    name: { type: 'string' },
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

/** A folder that is to be made; without `parentId`, or with `null`, in the root. */
export const newFolderSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['name'],
  properties: { parentId: { type: 'string', nullable: true }, name: { type: 'string' } }
} as const

/** The user's own name for a connection; stands beside the provider's fields in the body. */
export const labelSchema = { type: 'string', minLength: 1, maxLength: 200 } as const

/** Where to log in, and what to call the connection that comes of it. */
export const loginFlowSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['baseUrl'],
  properties: { label: labelSchema, baseUrl: { type: 'string', minLength: 1, maxLength: 1024 } }
} as const

/** Where the browser goes in the end, and what to call the connection that comes of it. */
export const oauthFlowSchema = {
  type: 'object',
  additionalProperties: false,
  properties: { label: labelSchema, returnTo: { type: 'string', minLength: 1, maxLength: 2048 } }
} as const

/** What a user may change of a connection. */
export const connectionChangesSchema = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: { label: labelSchema, default: { type: 'boolean' } }
} as const
