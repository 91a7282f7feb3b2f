import type { FastifyInstance } from 'fastify'
import { exportedName } from '../../src/core/entry.ts'
import { isStorageError, StorageError } from '../../src/errors.ts'
import { parseObjectText } from '../../src/core/ids.ts'
import { InFlightLimit } from '../../src/core/user-limits.ts'
import {
  type Authenticate,
  authenticationHook,
  decorateWithUser,
  type TrustedSites,
  userOf
} from '../../src/http/authentication.ts'
import { clientSignal, limitInFlight } from '../../src/http/in-flight.ts'
import { hasContent } from '../../src/http/content-response.ts'
import type { IncomingBodyOptions } from '../../src/http/upload-body.ts'
import type { LimitOptions } from '../../src/options/options.ts'
import { contentRoute, removalRoute, setPrivateHeaders } from './content.ts'
import { type Documents, MANAGED_STORE, NO_CONTENT, readCursor, viewOf, writeCursor } from './store.ts'
import {
  createDocumentSchema,
  type DocumentListQuery,
  getDocumentSchema,
  listDocumentsSchema,
  type NewConnectedDocument,
  type NewManagedDocument
} from './schemas.ts'
import { uploadRoute } from './upload.ts'

export interface DocumentRouteDeps {
  readonly documents: Documents
  readonly authenticate: Authenticate
  readonly sites: TrustedSites
  /** `false`: uploads are disabled. */
  readonly uploads: Omit<IncomingBodyOptions, 'minBytesPerSecond'> | false
  readonly limits: Pick<LimitOptions, 'transfersPerUser' | 'minBytesPerSecond'>
}

/** A name and three ids. */
const BODY_LIMIT = 64 * 1024

/** Registers the routes of users' documents, in a scope of their own. */
export function documentRoutes(app: FastifyInstance, deps: DocumentRouteDeps): void {
  decorateWithUser(app)
  app.addHook('onRequest', authenticationHook(deps.authenticate, deps.sites))
  const { uploads, documents, limits } = deps
  const { minBytesPerSecond } = limits
  readRoutes(app, deps)
  void app.register(async (writeScope) => {
    limitInFlight(
      writeScope,
      new InFlightLimit(limits.transfersPerUser, 'Too many changes of this user are in flight.')
    )
    creationRoute(writeScope, deps)
    removalRoute(writeScope, documents)
  })
  // The hook of these routes counts their requests.
  void app.register(async (readScope) => {
    contentRoute(readScope, documents, minBytesPerSecond)
  })
  if (uploads === false) return
  void app.register(async (uploadScope) => {
    uploadRoute(uploadScope, documents, { ...uploads, minBytesPerSecond })
  })
}

function readRoutes(app: FastifyInstance, { documents, uploads }: DocumentRouteDeps): void {
  const uploadLimits = uploads === false ? null : { maxBytes: uploads.maxBytes ?? null }

  app.get<{ Querystring: DocumentListQuery }>('/documents', { schema: listDocumentsSchema }, async (request, reply) => {
    const { cursor, limit } = request.query
    const position = cursor === undefined ? null : readCursor(cursor)
    // One row more than requested shows whether there is a next page.
    const rows = await documents.page(userOf(request), limit + 1, position)
    const pageRows = rows.slice(0, limit)
    const last = rows.length > limit ? pageRows.at(-1) : undefined
    setPrivateHeaders(reply)
    return {
      documents: pageRows.map(viewOf),
      page: { next: last === undefined ? null : writeCursor(last) },
      uploads: uploadLimits
    }
  })

  app.get<{ Params: { id: string } }>('/documents/:id', { schema: getDocumentSchema }, async (request, reply) => {
    const document = await documents.find(request.params.id, { id: userOf(request) })
    if (document === null) throw new StorageError('DOCUMENT_NOT_FOUND')
    setPrivateHeaders(reply)
    return viewOf(document)
  })
}

function creationRoute(app: FastifyInstance, { documents, uploads }: DocumentRouteDeps): void {
  app.post<{ Body: NewManagedDocument | NewConnectedDocument }>(
    '/documents',
    { schema: createDocumentSchema, bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const { body } = request
      const userId = userOf(request)
      if (!('provider' in body) && uploads === false) {
        throw new StorageError('UNSUPPORTED', 'Uploads are disabled on this server.')
      }
      const document =
        'provider' in body
          ? await documents.add({ userId, ...(await readCloudMetadata(app, userId, body, clientSignal(reply))) })
          : await documents.add({
              userId,
              storageBackend: MANAGED_STORE,
              objectKey: NO_CONTENT,
              connectionId: null,
              name: parseObjectText(body.name, 'name'),
              mimeType: body.mimeType ?? null,
              size: null
            })
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .header('location', `/documents/${document.id}`)
        .send(viewOf(document))
    }
  )
}

/**
 * Reads the metadata of a new document from the cloud. A client chooses only its name.
 *
 * @throws StorageError `PROVIDER_UNKNOWN`, `CONNECTION_NOT_FOUND`, `OBJECT_NOT_FOUND`, `INVALID_REQUEST` for folders
 */
async function readCloudMetadata(
  app: FastifyInstance,
  userId: string,
  requested: NewConnectedDocument,
  signal: AbortSignal
) {
  const { provider } = requested
  // The managed store is named like a provider, but contains objects of other users too.
  if (provider === MANAGED_STORE) throw new StorageError('PROVIDER_UNKNOWN')
  const objectKey = parseObjectText(requested.objectKey, 'objectKey')
  const connectionId = parseObjectText(requested.connectionId, 'connectionId')
  const document = { id: '', userId, storageBackend: provider, objectKey, connectionId }
  const backend = await app.getStorageBackendForDocument(document, { id: userId }).catch((error: unknown) => {
    if (!isStorageError(error, 'CONNECTION_MISSING')) throw error
    throw new StorageError('CONNECTION_NOT_FOUND', 'The connection was not found.', { cause: error })
  })
  const entry = await backend.stat(objectKey, { signal })
  if (!hasContent(entry)) throw new StorageError('INVALID_REQUEST', 'objectKey must be the key of a file.')
  // A native document is downloaded in its first export format.
  const [format] = entry.exportFormats
  const name = requested.name === undefined ? entry.name : parseObjectText(requested.name, 'name')
  return {
    storageBackend: provider,
    objectKey,
    connectionId,
    name: format === undefined ? name : exportedName(name, format),
    mimeType: format?.mimeType ?? entry.mimeType,
    size: format === undefined ? entry.size : null
  }
}
