import type { ServerResponse } from 'node:http'
import type { FakeDavRequest } from './request.ts'
import type { FakeNode } from './tree.ts'

/** Additions of a product to WebDAV. */
export interface DavExtension {
  /** Additional allowed headers of each method, in lower case. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  /** Additional values of the `DAV` header in OPTIONS, besides `1`. */
  readonly features: readonly string[]
  /** Handles requests that are not WebDAV or must be refused, and returns true. May throw a DavFailure. */
  serve(request: FakeDavRequest, response: ServerResponse): boolean
  /** Additional properties of a node, or other values. @param isMember it is listed as a member of its parent */
  properties(path: string, node: FakeNode, isMember: boolean): Iterable<readonly [key: string, xml: string]>
  /** Called after a PUT, before its response. */
  stored(response: ServerResponse, node: FakeNode, etag: string | undefined): void
}
