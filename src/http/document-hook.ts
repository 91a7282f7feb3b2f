import type { FastifyRequest, preHandlerAsyncHookHandler } from 'fastify'
import type { StoredDocument, User } from '../domain/document.ts'
import { StorageError } from '../domain/errors.ts'
import type { StorageBackend } from '../domain/storage-backend.ts'
import type { GetStorageBackendForDocument } from '../resolver/storage-for-document.ts'
import { type Authenticate, identify } from './authenticate.ts'
import { withStatus } from './status.ts'

export interface StorageBackendHookOptions {
  /**
   * Which document the request is about; `null` where there is none. A document of another user answers the same as
   * none at all.
   */
  readonly document: (
    request: FastifyRequest,
    user: User
  ) => Promise<StoredDocument | null | undefined> | StoredDocument | null | undefined
}

export interface ResolvedDocument {
  readonly backend: StorageBackend
  readonly document: StoredDocument
}

/** What the hook resolved, request by request. */
export class ResolvedDocuments {
  readonly #resolved = new WeakMap<FastifyRequest, ResolvedDocument>()

  set(request: FastifyRequest, resolved: ResolvedDocument): void {
    this.#resolved.set(request, resolved)
  }

  /** @throws TypeError where no `storageBackendHook` ran for this request */
  get(request: FastifyRequest): ResolvedDocument {
    const resolved = this.#resolved.get(request)
    if (resolved === undefined) {
      throw new TypeError('request.storageBackend needs a storageBackendHook among the preHandlers of its route')
    }
    return resolved
  }
}

/** Makes a `preHandler` that resolves the document which a request is about. */
export function documentHook(
  { document: findDocument }: StorageBackendHookOptions,
  authenticate: Authenticate,
  resolve: GetStorageBackendForDocument,
  resolved: ResolvedDocuments
): preHandlerAsyncHookHandler {
  return async (request) => {
    const user = { id: await identify(authenticate, request) }
    const document = await findDocument(request, user)
    if (document?.userId !== user.id) {
      throw withStatus(new StorageError('DOCUMENT_NOT_FOUND', 'There is no such document.'))
    }
    resolved.set(request, { document, backend: await resolve(document, user) })
  }
}
