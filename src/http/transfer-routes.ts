import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isStorageError, StorageError } from '../errors.ts'
import { parseFolderId, parseObjectText } from '../core/ids.ts'
import type { InFlightLimit } from '../core/user-limits.ts'
import type { ConnectionSelector } from '../core/connection.ts'
import type { Transfers, TransferTarget } from '../transfers/transfers.ts'
import { clientSignal, type ClientWatch, limitInFlight, watchClient } from './in-flight.ts'
import { sendContentProblem, type Content, sendContent, sendContentHead } from './content-response.ts'
import type { DescribeRoute } from './openapi/describe.ts'
import {
  acceptRawBody,
  type IncomingBodyOptions,
  runUpload,
  sendUploadProblem,
  toIncomingUpload
} from './upload-body.ts'
import { setPrivateHeaders } from './headers.ts'
import {
  type ContentQuery,
  contentQuerySchema,
  type FolderQuery,
  folderQuerySchema,
  type NewFolder,
  newFolderSchema,
  type RemovalQuery,
  removalQuerySchema,
  type UploadQuery,
  uploadQuerySchema
} from './schemas.ts'
import { userOf } from './authentication.ts'
import { parseWriteConditions } from './write-conditions.ts'

export interface TransferRouteDeps {
  readonly transfers: Transfers
  /** The limit of concurrent transfers per user. */
  readonly limit: InFlightLimit
  readonly uploads: IncomingBodyOptions
}

interface Params {
  readonly provider: string
}

const CONTENT_PATH = '/:provider/content'
/** Two ids and a name. */
const BODY_LIMIT = 64 * 1024

/** Registers the routes of content in users' clouds, and of new folders. @param app a scope of these routes alone */
export function transferRoutes(app: FastifyInstance, deps: TransferRouteDeps, describe: DescribeRoute): void {
  limitInFlight(app, deps.limit)
  downloadRoutes(app, deps, describe)
  folderRoute(app, deps, describe)
  removalRoute(app, deps, describe)
  void app.register(async (uploadScope) => {
    uploadRoute(uploadScope, deps, describe)
  })
}

function downloadRoutes(app: FastifyInstance, deps: TransferRouteDeps, describe: DescribeRoute): void {
  const options = {
    schema: describe('download', { querystring: contentQuerySchema }),
    errorHandler: sendContentProblem,
    exposeHeadRoute: false
  }
  interface Route {
    Params: Params
    Querystring: ContentQuery
  }

  app.head<Route>(CONTENT_PATH, options, async (request, reply) => {
    const watch = watchClient(reply)
    const content = await loadContent(deps, selectorOf(request), request.query, watch)
    return sendContentHead(request, setPrivateHeaders(reply), content, watch)
  })
  app.get<Route>(CONTENT_PATH, options, async (request, reply) => {
    const watch = watchClient(reply)
    const content = await loadContent(deps, selectorOf(request), request.query, watch)
    return sendContent(request, setPrivateHeaders(reply), content, watch)
  })
}

/** Returns the content to send. Reads the entry first, for its name and formats. */
async function loadContent(
  { transfers, uploads: { minBytesPerSecond } }: TransferRouteDeps,
  selector: ConnectionSelector,
  query: ContentQuery,
  { signal }: ClientWatch
): Promise<Content> {
  const id = parseObjectText(query.id, 'id')
  const backend = await transfers.openForReading(selector)
  const entry = await backend.stat(id, { signal })
  const { name, mimeType } = entry
  const { exportAs } = query
  return { backend, id, entry, name, mimeType, minBytesPerSecond, ...(exportAs !== undefined && { exportAs }) }
}

function uploadRoute(app: FastifyInstance, { transfers, uploads }: TransferRouteDeps, describe: DescribeRoute): void {
  acceptRawBody(app)
  const options = {
    schema: describe('upload', { querystring: uploadQuerySchema }),
    errorHandler: sendUploadProblem,
    config: { streamsBody: true }
  }
  app.put<{ Params: Params; Querystring: UploadQuery }>(CONTENT_PATH, options, async (request, reply) => {
    const target = parseTarget(request.query)
    const conditions = parseWriteConditions(request.headers, { isById: 'id' in target, canCreate: true })
    const { source, body, mimeType, size } = toIncomingUpload(request, uploads)
    const signal = clientSignal(reply)
    const { entry, isNew } = await runUpload(source, signal, () =>
      transfers
        .upload(selectorOf(request), { target, mimeType, size, ...conditions, signal }, body)
        .catch((error: unknown) => {
          // With `If-None-Match`, an existing file is a failed condition and no conflict (RFC 9110, 13.1.2).
          if (conditions.ifNoneMatch === undefined || !isStorageError(error, 'ALREADY_EXISTS')) throw error
          throw new StorageError('PRECONDITION_FAILED', error.message, { cause: error })
        })
    )
    return reply
      .code(isNew ? 201 : 200)
      .header('cache-control', 'no-store')
      .send(entry)
  })
}

function parseTarget({ id, parent, name }: UploadQuery): TransferTarget {
  if (id !== undefined) {
    if (parent === undefined && name === undefined) return { id: parseObjectText(id, 'id') }
    throw new StorageError('INVALID_REQUEST', 'An upload takes either id, or name and parent, not both.')
  }
  if (name === undefined) throw new StorageError('INVALID_REQUEST', 'An upload requires id or name.')
  return { parentId: parseFolderId(parent, 'parent'), name: parseObjectText(name, 'name') }
}

function folderRoute(app: FastifyInstance, { transfers }: TransferRouteDeps, describe: DescribeRoute): void {
  const schema = describe('createFolder', { querystring: folderQuerySchema, body: newFolderSchema })
  app.post<{ Params: Params; Querystring: FolderQuery }>(
    '/:provider/folders',
    { schema, bodyLimit: BODY_LIMIT },
    async (request, reply) => {
      const { parentId, name } = request.body as NewFolder
      const parent = parseFolderId(parentId ?? undefined, 'parentId')
      const signal = clientSignal(reply)
      const entry = await transfers.createFolder(selectorOf(request), parent, parseObjectText(name, 'name'), {
        signal
      })
      return reply.code(201).header('cache-control', 'no-store').send(entry)
    }
  )
}

function removalRoute(app: FastifyInstance, { transfers }: TransferRouteDeps, describe: DescribeRoute): void {
  app.delete<{ Params: Params; Querystring: RemovalQuery }>(
    CONTENT_PATH,
    { schema: describe('removeContent', { querystring: removalQuerySchema }) },
    async (request, reply) => {
      const id = parseObjectText(request.query.id, 'id')
      const { ifMatch } = parseWriteConditions(request.headers, { isById: true, canCreate: false })
      await transfers.remove(selectorOf(request), id, { signal: clientSignal(reply), ifMatch })
      return reply.code(204).send()
    }
  )
}

function selectorOf(
  request: FastifyRequest<{ Params: Params; Querystring: { connection?: string } }>
): ConnectionSelector {
  return { userId: userOf(request), provider: request.params.provider, connectionId: request.query.connection }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True for a route with a body that may take long to arrive. */
    streamsBody?: boolean
  }
}
