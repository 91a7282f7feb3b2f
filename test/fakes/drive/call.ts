import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { DriveMistake, invalid } from './failure.ts'
import { FieldMask } from './mask.ts'
import { parseMetadata, type DriveMetadata } from './metadata.ts'
import type { FakeDavRequest } from '../dav/request.ts'
import type { DriveOperation, DriveRoute } from './routes.ts'
import type { Fields } from './schema.ts'
import type { FakeDriveTree } from './tree.ts'
import { DriveView, type DriveCaller } from './view.ts'

const RESOURCE_KEYS = /^[\w-]+\/[\w-]+(?:,[\w-]+\/[\w-]+)*$/

const WITHOUT_DRIVE_FLAG: readonly DriveOperation[] = ['files.export', 'files.render', 'operations.get', 'rendered.get']

/** An allowed request and its response. */
export class DriveCall {
  readonly route: DriveRoute
  readonly request: FakeDavRequest
  readonly response: ServerResponse
  readonly view: DriveView

  constructor(
    route: DriveRoute,
    request: FakeDavRequest,
    response: ServerResponse,
    tree: FakeDriveTree,
    caller: DriveCaller
  ) {
    this.route = route
    this.request = request
    this.response = response
    const keys = request.headers['x-goog-drive-resource-keys']
    if (keys !== undefined && !RESOURCE_KEYS.test(keys)) throw new DriveMistake(`the resource keys ${keys}`)
    // These operations have no flag for shared drives, but support them.
    const supportsAllDrives = this.flag('supportsAllDrives') || WITHOUT_DRIVE_FLAG.includes(route.operation)
    this.view = new DriveView(tree, caller, supportsAllDrives, keys?.split(','))
  }

  text(name: string): string | null {
    return this.request.query.get(name)
  }

  flag(name: string): boolean {
    return this.text(name) === 'true'
  }

  integer(name: string, max: number, defaultValue?: number): number {
    const text = this.text(name) ?? String(defaultValue)
    const value = /^\d+$/.test(text) ? Number(text) : 0
    if (value < 1 || value > max) {
      throw invalid(name, 'invalidParameter', `Invalid value '${text}'. Values must be within the range: [1, ${max}]`)
    }
    return value
  }

  /** Parses the body as metadata. */
  metadata(): DriveMetadata {
    const { headers, body } = this.request
    return parseMetadata(headers['content-type'] ?? '', body ?? Buffer.alloc(0), this.method)
  }

  /** Whether the call creates or updates a file. */
  get method(): 'create' | 'update' {
    return this.route.operation.endsWith('create') ? 'create' : 'update'
  }

  mask(fields: Fields): FieldMask | undefined {
    const text = this.text('fields')
    return text === null ? undefined : new FieldMask(text, fields)
  }

  /** Sends the fields that the mask selects, compressed if the client accepts it, as Google does. */
  send(value: object, mask: FieldMask | undefined): void {
    const json = Buffer.from(JSON.stringify(mask?.apply(value) ?? value))
    const isGzip = /\bgzip\b(?!;\s*q=0(?:\.0*)?(?:,|$))/.test(this.request.headers['accept-encoding'] ?? '')
    const body = isGzip ? gzipSync(json, { level: 1 }) : json
    if (isGzip) this.response.setHeader('content-encoding', 'gzip')
    this.response.writeHead(200, {
      'content-type': 'application/json; charset=UTF-8',
      'content-length': body.length,
      vary: 'Origin, X-Origin, Accept-Encoding'
    })
    this.response.end(body)
  }
}
