import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { BoxBody } from './body.ts'
import { BoxFailure, BoxMistake, notFound } from './failure.ts'
import { BoxFields } from './fields.ts'
import type { BoxPermissions, BoxType, FakeBoxNode } from './node.ts'
import { itemResource, permissionsOf, type BoxPerson } from './resource.ts'
import type { BoxRoute } from './routes.ts'
import type { FakeBoxTree } from './tree.ts'
import type { FakeCloudRequest } from '../fake-cloud.ts'

const DENIED = { code: 'access_denied_insufficient_permissions' }

/** An allowed request and its response. */
export class BoxCall {
  readonly route: BoxRoute
  readonly request: FakeCloudRequest
  readonly response: ServerResponse
  readonly tree: FakeBoxTree
  readonly person: BoxPerson

  constructor(
    route: BoxRoute,
    request: FakeCloudRequest,
    response: ServerResponse,
    tree: FakeBoxTree,
    person: BoxPerson
  ) {
    this.route = route
    this.request = request
    this.response = response
    this.tree = tree
    this.person = person
  }

  text(name: string): string | undefined {
    return this.request.query.get(name) ?? undefined
  }

  integer(name: string, min: number, max: number, defaultValue: number): number {
    const text = this.text(name) ?? String(defaultValue)
    const value = /^\d+$/.test(text) ? Number(text) : -1
    if (value < min || value > max) throw new BoxMistake(`${name}=${text}`)
    return value
  }

  flag(name: string): boolean {
    const text = this.text(name) ?? 'false'
    if (text !== 'true' && text !== 'false') throw new BoxMistake(`${name}=${text}`)
    return text === 'true'
  }

  header(name: string): string | undefined {
    return this.request.headers[name]
  }

  json(names: readonly string[]): BoxBody {
    return BoxBody.of(this.request, names)
  }

  fields(...types: readonly (BoxType | 'user')[]): BoxFields {
    return new BoxFields(this.request.query.get('fields'), types)
  }

  /** Returns the item of an ID. */
  node(type: BoxType, id = this.route.id, parameter?: string): FakeBoxNode {
    const node = this.tree.find(id, type)
    if (node === undefined || node.flags.hidden === true) throw notFound(type, id, parameter)
    if (this.tree.isTrashed(node)) throw new BoxFailure({ code: 'trashed' })
    if (node.flags.denied === true) throw new BoxFailure(DENIED)
    return node
  }

  /** Returns the item if it has the permissions. */
  requirePermissions(node: FakeBoxNode, ...required: readonly (keyof BoxPermissions)[]): FakeBoxNode {
    const permissions = permissionsOf(node)
    if (required.some((name) => permissions[name] !== true)) throw new BoxFailure(DENIED)
    return node
  }

  /** Rejects a request with an outdated etag. */
  checkEtag({ etag }: FakeBoxNode): void {
    const expected = this.header('if-match')
    if (expected !== undefined && expected !== String(etag)) throw new BoxFailure({ code: 'precondition_failed' })
  }

  item(node: FakeBoxNode, fields: BoxFields, defaultValue: 'standard' | 'mini' = 'standard'): Record<string, unknown> {
    return itemResource(node, this.tree, this.person, fields.namesFor(node.type, defaultValue))
  }

  /** Sends the response, compressed if the client accepts it, as Box does. */
  send(status: number, value: object): void {
    this.sendJson(status, JSON.stringify(value))
  }

  /** Does the same with text, for values that JavaScript cannot represent. */
  sendJson(status: number, json: string): void {
    const { response } = this
    const isGzip = this.header('accept-encoding')?.includes('gzip') === true
    const body: Buffer = isGzip ? gzipSync(json, { level: 1 }) : Buffer.from(json)
    if (isGzip) response.setHeader('content-encoding', 'gzip')
    response.setHeader('vary', 'Accept-Encoding')
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
  }

  /** Responds with 202: not ready yet. */
  sendNotReady(seconds: number): void {
    this.response.writeHead(202, { 'retry-after': String(seconds), 'content-length': 0 }).end()
  }
}
