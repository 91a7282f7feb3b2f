import type { Entry, Listing } from '../../domain/entry.ts'

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
        downloadUrl: 'unsupported'
      }
    }
  ]
} as const
