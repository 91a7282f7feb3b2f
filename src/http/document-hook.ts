import type { FastifyRequest, preHandlerAsyncHookHandler } from 'fastify'
import type { StoredDocument, User } from '../core/document.ts'
import { StorageError } from '../errors.ts'
import type { StorageBackend } from '../core/backend.ts'
import type { InFlightLimit, Permit } from '../core/user-limits.ts'
import type { GetStorageBackendForDocument } from '../documents/resolve.ts'
import { type Authenticate, identify } from './authentication.ts'
import { acquirePermit } from './in-flight.ts'

export interface StorageBackendHookOptions {
  /**
   * Returns the document of a request; `null` if there is none. A document of another user gets the same response as
   * a missing one.
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

/** The results of the hook, by request. */
export class ResolvedDocuments {
  readonly #resolved = new WeakMap<FastifyRequest, ResolvedDocument>()

  set(request: FastifyRequest, resolved: ResolvedDocument): void {
    this.#resolved.set(request, resolved)
  }

  /** @throws TypeError if no `storageBackendHook` ran for this request */
  get(request: FastifyRequest): ResolvedDocument {
    const resolved = this.#resolved.get(request)
    if (resolved === undefined) {
      throw new TypeError('request.storageBackend requires storageBackendHook as a preHandler of the route')
    }
    return resolved
  }
}

export interface DocumentHookDeps {
  readonly authenticate: Authenticate
  readonly resolve: GetStorageBackendForDocument
  readonly resolvedDocuments: ResolvedDocuments
  /** The limit of concurrent transfers per user. */
  readonly transferLimit: InFlightLimit
  /** Returns the same backend, with calls that hold the slot. */
  readonly withPermit: (backend: StorageBackend, permit: Permit) => StorageBackend
}

/**
 * Makes a `preHandler` that resolves the document of a request. The request counts as a transfer of its user until
 * its response has closed and everything that it opened at the backend has ended.
 */
export function createDocumentHook(
  { document: findDocument }: StorageBackendHookOptions,
  { authenticate, resolve, resolvedDocuments, transferLimit, withPermit }: DocumentHookDeps
): preHandlerAsyncHookHandler {
  return async (request, reply) => {
    const user = { id: await identify(authenticate, request) }
    const permit = acquirePermit(reply, transferLimit, user.id)
    const document = await findDocument(request, user)
    if (document?.userId !== user.id) {
      throw new StorageError('DOCUMENT_NOT_FOUND')
    }
    resolvedDocuments.set(request, { document, backend: withPermit(await resolve(document, user), permit) })
  }
}
