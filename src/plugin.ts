import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyPluginAsync, preHandlerAsyncHookHandler, RegisterOptions } from 'fastify'
import type { StoredDocument } from './core/document.ts'
import type { StorageBackend } from './core/backend.ts'
import { createDocumentHook, ResolvedDocuments, type StorageBackendHookOptions } from './http/document-hook.ts'
import type { FolderCache } from './cache/folder-cache.ts'
import { type CloudStorageOptions, checkOptions } from './options/options.ts'
import type { GetStorageBackendForDocument } from './documents/resolve.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The TTL cache of folder listings. */
    folderCache: FolderCache
    /**
     * Opens the storage of a document for `user`, its owner.
     *
     * @throws StorageError with a `statusCode`: `DOCUMENT_NOT_FOUND`, `CONNECTION_MISSING`, `CONNECTION_INACTIVE`,
     * `CREDENTIALS_UNREADABLE` and others
     */
    getStorageBackendForDocument: GetStorageBackendForDocument
    /** Creates a `preHandler` that sets `request.storageBackend` and `request.storageDocument`. */
    storageBackendHook: (options: StorageBackendHookOptions) => preHandlerAsyncHookHandler
  }
  interface FastifyRequest {
    /** Set by `storageBackendHook`; valid during this request. */
    readonly storageBackend: StorageBackend
    readonly storageDocument: StoredDocument
  }
}

const cloudStorage: FastifyPluginAsync<CloudStorageOptions> = async (fastify, options) => {
  if (fastify.hasDecorator('folderCache')) {
    throw new Error('fastify-cloud-storage is already registered on this instance or a parent of it')
  }
  const checkedOptions = checkOptions(options)
  // Imported here, so that importing only the types and errors of this package stays cheap.
  const { createServices, withPermit } = await import('./services.ts')
  const services = await createServices(checkedOptions, fastify.log)
  const { authenticate } = checkedOptions

  const resolvedDocuments = new ResolvedDocuments()
  fastify.decorate('folderCache', services.cache)
  fastify.decorate('getStorageBackendForDocument', services.resolve)
  fastify.decorate('storageBackendHook', (hookOptions: StorageBackendHookOptions) =>
    createDocumentHook(hookOptions, {
      authenticate,
      resolve: services.resolve,
      resolvedDocuments,
      transferLimit: services.transferLimit,
      withPermit
    })
  )
  fastify.decorateRequest('storageBackend', {
    getter() {
      return resolvedDocuments.get(this).backend
    }
  })
  fastify.decorateRequest('storageDocument', {
    getter() {
      return resolvedDocuments.get(this).document
    }
  })

  fastify.addHook('onReady', services.assertReady)
  // Fastify runs preClose hooks, waits for the requests in flight, and then runs onClose hooks, the latest first. The
  // host may close the database in any of these.
  fastify.addHook('preClose', async () => {
    prependOnClose(fastify, services.drain)
    await services.stop()
  })
  fastify.addHook('onClose', services.close)

  const { publicUrl, allowedOrigins } = checkedOptions
  // Fastify ignores them for plugins that share their host's scope.
  const { prefix = '', logLevel } = options as RegisterOptions
  const routePrefix =
    checkedOptions.routePrefix !== false &&
    (prefix.endsWith('/') ? prefix.slice(0, -1) : prefix) + checkedOptions.routePrefix
  if (routePrefix !== false) {
    const { registerRoutes } = await import('./http/routes.ts')
    await fastify.register(
      async (child: FastifyInstance) =>
        registerRoutes(child, { ...services.routes, authenticate, publicUrl, allowedOrigins }),
      {
        prefix: routePrefix,
        ...(logLevel && { logLevel }),
        logSerializers: { req: serialiseRequest as unknown as (request: unknown) => string }
      }
    )
  }
}

/**
 * Runs `close` once the server has closed, before every onClose hook. `addHook` rejects hooks after the start, but
 * the method of avvio 9 behind it puts `close` before the remaining hooks. The preClose hook alone is not enough:
 * Fastify stops waiting for it after `pluginTimeout`, and requests in flight continue after it.
 */
function prependOnClose(fastify: FastifyInstance, close: () => Promise<void>): void {
  const { onClose } = fastify as { onClose?: (this: FastifyInstance, close: () => Promise<void>) => unknown }
  onClose?.call(fastify, close)
}

/**
 * Describes a request for Fastify's log, without the query: it may contain cursors and folder names, which are
 * private. (pino accepts an object, although Fastify 5.12 declares that serializers return strings.)
 */
function serialiseRequest(request: { method: string; url: string; host?: string; ip?: string }): object {
  const [path] = request.url.split('?', 1)
  return { method: request.method, url: path, host: request.host, remoteAddress: request.ip }
}

export default fp(cloudStorage, { fastify: '5.x', name: 'fastify-cloud-storage' })
