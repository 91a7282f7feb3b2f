import type { Entry } from '../../../src/core/entry.ts'
import type { ConnectionView, ProviderView } from '../../../web/picker/api.ts'

/** Creates a file with its path as its ID. */
export function entryOf(id: string, overrides: Partial<Entry> = {}): Entry {
  return {
    id,
    parentId: null,
    driveId: null,
    name: id.split('/').at(-1) ?? id,
    kind: 'file',
    mimeType: null,
    size: 48_213,
    createdAt: null,
    modifiedAt: '2026-11-02T08:30:00.000Z',
    version: null,
    hash: null,
    exportFormats: [],
    target: null,
    webUrl: null,
    thumbnailUrl: null,
    path: id,
    can: { list: false, download: true, write: null },
    ...overrides
  }
}

/** Creates a folder with its path as its ID, ending with a slash. */
export function folderOf(id: string, overrides: Partial<Entry> = {}): Entry {
  return entryOf(id, {
    name: id.split('/').at(-2) ?? id,
    kind: 'folder',
    size: null,
    can: { list: true, download: false, write: null },
    ...overrides
  })
}

const WRITE_CAPABILITIES = { upload: 'native', createFolder: 'native' } as const

export const S3: ProviderView = {
  id: 's3',
  label: 'S3-compatible storage',
  capabilities: WRITE_CAPABILITIES,
  connect: {
    type: 'credentials',
    schema: {
      required: ['endpoint', 'bucket', 'secretAccessKey'],
      properties: {
        endpoint: { type: 'string', title: 'Endpoint', description: 'https://host', minLength: 1, maxLength: 255 },
        region: { type: 'string', title: 'Region', default: 'us-east-1', pattern: '^[A-Za-z0-9-]{1,63}$' },
        bucket: { type: 'string', title: 'Bucket', pattern: '^[a-z0-9.-]{3,63}$' },
        secretAccessKey: { type: 'string', title: 'Secret key', minLength: 1, writeOnly: true },
        forcePathStyle: { type: 'boolean', title: 'Path style', default: true }
      }
    }
  }
}

export const DRIVE: ProviderView = {
  id: 'google_drive',
  label: 'Google Drive',
  capabilities: { upload: 'unsupported', createFolder: 'unsupported' },
  connect: { type: 'oauth2' }
}

export const NEXTCLOUD: ProviderView = {
  id: 'nextcloud',
  label: 'Nextcloud',
  capabilities: WRITE_CAPABILITIES,
  connect: {
    type: 'login-flow',
    schema: {
      required: ['baseUrl', 'username', 'password'],
      properties: {
        baseUrl: { type: 'string', title: 'Address', minLength: 1, maxLength: 1024 },
        username: { type: 'string', title: 'User name', minLength: 1 },
        password: { type: 'string', title: 'App password', minLength: 1, writeOnly: true }
      }
    }
  }
}

export function connectionTo(provider: string, overrides: Partial<ConnectionView> = {}): ConnectionView {
  return {
    id: `${provider}-1`,
    provider,
    label: `My ${provider}`,
    account: `${provider}#me`,
    status: 'ACTIVE',
    default: true,
    createdAt: '2026-11-02T08:30:00.000Z',
    lastError: null,
    ...overrides
  }
}

/** Creates `file 000`, `file 001` and so on. */
export function numberedFiles(count: number): Entry[] {
  return Array.from({ length: count }, (_, index) => entryOf(`file ${String(index).padStart(3, '0')}`))
}
