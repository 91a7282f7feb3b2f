import { MAX_CURSOR_LENGTH } from '../domain/entry.ts'

export interface ListingQuery {
  readonly folder?: string
  readonly connection?: string
  readonly cursor?: string
  readonly limit: number
  readonly kind?: 'folder' | 'file'
  readonly refresh: boolean
}

export const listingQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    folder: { type: 'string' },
    connection: { type: 'string', minLength: 1, maxLength: 128 },
    cursor: { type: 'string', minLength: 1, maxLength: MAX_CURSOR_LENGTH },
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: 200 },
    kind: { type: 'string', enum: ['folder', 'file'] },
    refresh: { type: 'boolean', default: false }
  }
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
