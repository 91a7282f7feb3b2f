import { Agent, request, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { readBody } from './read-body.ts'

export interface RawResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The raw bytes from the wire: no content decoding. */
  readonly body: Buffer
}

export type SendRaw = (
  path: string,
  headers?: Record<string, string | string[]>,
  method?: 'GET' | 'HEAD'
) => Promise<RawResponse>

/** Starts listening and returns a minimal client with keep-alive sockets of its own. It adds no headers. */
export async function startRawClient(t: Test, app: FastifyInstance): Promise<SendRaw> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => {
    agent.destroy()
  })
  return (path, headers = {}, method = 'GET') =>
    new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, path, method, agent, headers }, (response) => {
        readBody(response).then((body) => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body })
        }, reject)
      })
        .once('error', reject)
        .end()
    })
}
