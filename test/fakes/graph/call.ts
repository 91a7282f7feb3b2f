import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { GraphMistake } from './failure.ts'
import type { GraphRoute } from './routes.ts'
import { GraphSelect } from './select.ts'
import type { FakeGraphTree } from './tree.ts'
import { GraphView, type GraphCaller } from './view.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** An allowed Graph request and its response. */
export class GraphCall {
  readonly route: GraphRoute
  readonly request: FakeCloudRequest
  readonly response: ServerResponse
  readonly view: GraphView

  constructor(
    route: GraphRoute,
    request: FakeCloudRequest,
    response: ServerResponse,
    tree: FakeGraphTree,
    caller: GraphCaller
  ) {
    this.route = route
    this.request = request
    this.response = response
    this.view = new GraphView(tree, caller)
  }

  text(name: string): string | null {
    return this.request.query.get(name)
  }

  select(known: readonly string[]): GraphSelect {
    return new GraphSelect(this.text('$select'), known)
  }

  get content(): Buffer {
    return this.request.body ?? Buffer.alloc(0)
  }

  /** Parses the body. Other fields than these are mistakes. */
  json(fields: readonly string[]): JsonObject {
    let body: unknown
    try {
      body = JSON.parse(this.content.toString())
    } catch {
      throw new GraphMistake('a body that is no JSON')
    }
    return objectOf(body, 'the body', fields)
  }

  /** Sends the response, compressed if the client accepts it, as Graph does. */
  send(value: object, status = 200): void {
    const json = Buffer.from(JSON.stringify(value))
    const isGzip = /\bgzip\b(?!;\s*q=0(?:\.0*)?(?:,|$))/.test(this.request.headers['accept-encoding'] ?? '')
    const body = isGzip ? gzipSync(json, { level: 1 }) : json
    if (isGzip) this.response.setHeader('content-encoding', 'gzip')
    this.response.writeHead(status, {
      'content-type': 'application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false',
      'content-length': body.length,
      vary: 'Accept-Encoding'
    })
    this.response.end(body)
  }
}

/** @param description description of the value, for the record */
export function objectOf(value: unknown, description: string, fields: readonly string[]): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new GraphMistake(`${description} is no object`)
  const unknown = Object.keys(value).filter((name) => !fields.includes(name))
  if (unknown.length > 0) throw new GraphMistake(`${unknown.join()} in ${description}`)
  return value as JsonObject
}
