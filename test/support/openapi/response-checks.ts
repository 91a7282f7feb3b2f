import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { type ApiDescription, OpenApiDocument } from './api-description.ts'

let shared: OpenApiDocument | undefined

/** Returns the published description of the API. */
export function apiDescription(): OpenApiDocument {
  const text = readFileSync(new URL('../../../openapi.json', import.meta.url), 'utf8')
  return (shared ??= new OpenApiDocument(JSON.parse(text) as ApiDescription))
}

/**
 * Compares each response of the plugin's routes with the published description, in every test.
 * @param isPluginPath whether a path belongs to the plugin: a host has routes too
 */
export function checkResponses(
  t: Test,
  app: FastifyInstance,
  isPluginPath = (path: string): boolean => path.startsWith('/cloud/')
): void {
  const description = apiDescription()
  app.addHook('onSend', async (request, reply, payload) => {
    const path = (request.routeOptions.url ?? '').replace(/:(\w+)/g, '{$1}')
    const { statusCode: status } = reply
    // Status 499 is never sent: the client has disconnected.
    if (!isPluginPath(path) || !(path in description.document.paths) || status === 499) return
    // CORS headers belong to the application, and only browsers use them.
    const headers = Object.fromEntries(
      Object.entries(reply.getHeaders()).filter(([name]) => !name.startsWith('access-control-'))
    )
    const isText = typeof payload === 'string' || (Buffer.isBuffer(payload) && !('content-encoding' in headers))
    const body = request.method !== 'HEAD' && isText ? payload.toString() : ''
    for (const mismatch of description.mismatches({ method: request.method, url: path, status, headers, body })) {
      t.fail(mismatch)
    }
  })
}
