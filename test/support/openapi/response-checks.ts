import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { type ApiDescription, OpenApiDocument } from './api-description.ts'
import { describeServer } from './describe-server.ts'

const PREFIX = '/cloud'

let ofPlugin: OpenApiDocument | undefined
let ofServer: Promise<OpenApiDocument> | undefined

/** Returns the published description of the plugin's routes. Its paths are relative to the prefix. */
export function pluginDescription(): OpenApiDocument {
  return (ofPlugin ??= parse(readFileSync(new URL('../../../openapi.json', import.meta.url), 'utf8')))
}

/** Returns the description of the ready-made server with all of its features. */
export async function serverDescription(): Promise<OpenApiDocument> {
  return await (ofServer ??= describeServer().then(parse))
}

function parse(document: string): OpenApiDocument {
  return new OpenApiDocument(JSON.parse(document) as ApiDescription)
}

/**
 * Compares each response of the plugin's routes with the published description, in every test.
 * @param hostDescription the description of the host's own routes, if there is one
 */
export function checkResponses(t: Test, app: FastifyInstance, hostDescription?: OpenApiDocument): void {
  app.addHook('onSend', async (request, reply, payload) => {
    const route = (request.routeOptions.url ?? '').replace(/:(\w+)/g, '{$1}')
    const isPluginRoute = route.startsWith(`${PREFIX}/`)
    const description = isPluginRoute ? pluginDescription() : hostDescription
    const path = isPluginRoute ? route.slice(PREFIX.length) : route
    const { statusCode: status } = reply
    // Status 499 is never sent: the client has disconnected.
    if (description === undefined || !(path in description.document.paths) || status === 499) return
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
