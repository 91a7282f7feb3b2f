import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { type ApiDescription, Description } from './api-description.ts'

let shared: Description | undefined

/** What the package says of the API. */
export function apiDescription(): Description {
  const text = readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8')
  return (shared ??= new Description(JSON.parse(text) as ApiDescription))
}

/**
 * Compares each answer of our routes with what the package says of them, whichever test asked.
 *
 * @param isOurs whether we answer at a path: a host has routes too
 */
export function watchAnswers(
  t: Test,
  app: FastifyInstance,
  isOurs = (path: string): boolean => path.startsWith('/cloud/')
): void {
  const described = apiDescription()
  app.addHook('onSend', async (request, reply, payload) => {
    const path = (request.routeOptions.url ?? '').replace(/:(\w+)/g, '{$1}')
    const { statusCode: status } = reply
    // Nobody hears what is said to a client that has left.
    if (!isOurs(path) || !(path in described.document.paths) || status === 499) return
    // CORS belongs to the application, and concerns browsers alone.
    const headers = Object.fromEntries(
      Object.entries(reply.getHeaders()).filter(([name]) => !name.startsWith('access-control-'))
    )
    const isText = typeof payload === 'string' || (Buffer.isBuffer(payload) && !('content-encoding' in headers))
    const body = request.method !== 'HEAD' && isText ? payload.toString() : ''
    for (const mismatch of described.mismatches({ method: request.method, url: path, status, headers, body })) {
      t.fail(mismatch)
    }
  })
}
