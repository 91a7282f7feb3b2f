import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyPluginAsync, preHandlerAsyncHookHandler, RegisterOptions } from 'fastify'
import type { StoredDocument } from './domain/document.ts'
import type { StorageBackend } from './domain/storage-backend.ts'
import { documentHook, ResolvedDocuments, type StorageBackendHookOptions } from './http/document-hook.ts'
import type { FolderCache } from './listing/folder-cache.ts'
import { type CloudStorageOptions, checkOptions } from './options.ts'
import type { GetStorageBackendForDocument } from './resolver/storage-for-document.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The TTL cache of folder listings. */
    folderCache: FolderCache
    /**
     * Where a document's bytes are, opened for `user`, who must own it.
     *
     * @throws StorageError with a `statusCode`: `DOCUMENT_NOT_FOUND`, `CONNECTION_MISSING`, `CONNECTION_INACTIVE`,
     * `CREDENTIALS_UNREADABLE` and others
     */
    getStorageBackendForDocument: GetStorageBackendForDocument
    /** Makes a `preHandler` that sets `request.storageBackend` and `request.storageDocument`. */
    storageBackendHook: (options: StorageBackendHookOptions) => preHandlerAsyncHookHandler
  }
  interface FastifyRequest {
    /** What `storageBackendHook` resolved; valid for this request. */
    readonly storageBackend: StorageBackend
    readonly storageDocument: StoredDocument
  }
}

const cloudStorage: FastifyPluginAsync<CloudStorageOptions> = async (fastify, options) => {
  if (fastify.hasDecorator('folderCache')) {
    throw new Error('fastify-cloud-storage is registered in this tree already')
  }
  const checked = checkOptions(options)
  // What the parts cost to load is paid by whoever registers the plugin, not by whoever imports its types and errors.
  const { wire, withSlot } = await import('./wiring.ts')
  const wired = await wire(checked, fastify.log)
  const { authenticate } = checked

  const resolved = new ResolvedDocuments()
  fastify.decorate('folderCache', wired.cache)
  fastify.decorate('getStorageBackendForDocument', wired.resolve)
  fastify.decorate('storageBackendHook', (hook: StorageBackendHookOptions) =>
    documentHook(hook, { authenticate, resolve: wired.resolve, resolved, transfers: wired.transfers, withSlot })
  )
  fastify.decorateRequest('storageBackend', {
    getter() {
      return resolved.get(this).backend
    }
  })
  fastify.decorateRequest('storageDocument', {
    getter() {
      return resolved.get(this).document
    }
  })

  fastify.addHook('onReady', wired.assertReady)
  // Fastify runs preClose hooks, waits for the requests in flight, and then runs onClose hooks, the latest first: the
  // host's hook that closes the database may be any of them.
  fastify.addHook('preClose', async () => {
    onCloseFirst(fastify, wired.drain)
    await wired.stop()
  })
  fastify.addHook('onClose', wired.close)

  const { publicUrl, allowedOrigins } = checked
  // Fastify ignores them for plugins that share the scope of their host.
  const { prefix = '', logLevel } = options as RegisterOptions
  const routePrefix =
    checked.routePrefix !== false && (prefix.endsWith('/') ? prefix.slice(0, -1) : prefix) + checked.routePrefix
  if (routePrefix !== false) {
    const { registerRoutes } = await import('./http/routes.ts')
    await fastify.register(
      async (child: FastifyInstance) =>
        registerRoutes(child, { ...wired.routes, authenticate, publicUrl, allowedOrigins }),
      {
        prefix: routePrefix,
        ...(logLevel && { logLevel }),
        logSerializers: { req: describeRequest as unknown as (request: unknown) => string }
      }
    )
  }
}

/**
 * Runs `close` once the server has closed, before every onClose hook. `addHook` refuses hooks after the start, but the
 * method of avvio 9 behind it puts `close` in front of the hooks that are left. The preClose
 * hook alone is not enough: Fastify stops waiting for it after `pluginTimeout`, and requests in flight go on after it.
 */
function onCloseFirst(fastify: FastifyInstance, close: () => Promise<void>): void {
  const { onClose } = fastify as { onClose?: (this: FastifyInstance, close: () => Promise<void>) => unknown }
  onClose?.call(fastify, close)
}

/**
 * What Fastify logs of a request, without the query: cursors and folder names are nobody's business. (pino takes an
 * object; Fastify 5.12 declares that serializers give strings.)
 */
function describeRequest(request: { method: string; url: string; host?: string; ip?: string }): object {
  const [path] = request.url.split('?', 1)
  return { method: request.method, url: path, host: request.host, remoteAddress: request.ip }
}

export default fp(cloudStorage, { fastify: '5.x', name: 'fastify-cloud-storage' })
