import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Lifetime } from '../lifetime.ts'
import { readBody } from '../../support/app/read-body.ts'

export interface FrontRequest {
  readonly method: string
  readonly url: URL
  readonly contentType: string | undefined
  readonly body: string
}

export interface FrontAnswer {
  readonly status: number
  readonly json: unknown
}

export interface Front {
  /** Responds in place of the server behind. */
  readonly instead?: (request: FrontRequest) => FrontAnswer | undefined
  /** Called for each exchange before its response is passed on. */
  readonly note?: (request: FrontRequest, answer: FrontAnswer) => void
}

/** Starts a proxy in front of a server. Returns its origin. A response that is not JSON is `undefined`. */
export async function startFront(t: Lifetime, behind: string, front: Front): Promise<string> {
  const faults: unknown[] = []
  const server = createServer((message, response) => {
    pass(behind, front, message, response).catch((error: unknown) => {
      faults.push(error)
      response.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
    if (faults.length > 0) throw new AggregateError(faults, `the front of ${behind} broke: ${faults.join('; ')}`)
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function pass(behind: string, front: Front, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = '', headers } = message
  const body = (await readBody(message)).toString()
  const request = { method, url: new URL(message.url ?? '', behind), contentType: headers['content-type'], body }
  const answer = front.instead?.(request) ?? (await ask(request, headers))
  front.note?.(request, answer)
  response.writeHead(answer.status, { 'content-type': 'application/json' })
  response.end(answer.json === undefined ? '' : JSON.stringify(answer.json))
}

async function ask({ method, url, body }: FrontRequest, headers: IncomingMessage['headers']): Promise<FrontAnswer> {
  const kept = ['content-type', 'authorization', 'accept'].flatMap((name) => {
    const value = headers[name]
    return value === undefined ? [] : [[name, String(value)] as [string, string]]
  })
  const answer = await fetch(url, { method, headers: kept, ...(body !== '' && { body }) })
  const text = await answer.text()
  return { status: answer.status, json: text === '' ? undefined : JSON.parse(text) }
}
