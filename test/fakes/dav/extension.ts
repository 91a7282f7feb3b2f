import type { ServerResponse } from 'node:http'
import type { FakeDavRequest } from './request.ts'
import type { FakeNode } from './tree.ts'

/** What a product adds to WebDAV. */
export interface DavExtension {
  /** More headers that a method may carry, in lower case. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  /** What OPTIONS says in `DAV` besides `1`. */
  readonly features: readonly string[]
  /** Answers what is not WebDAV, or what nothing may come through for, and returns true. It may throw a DavFailure. */
  serve(request: FakeDavRequest, response: ServerResponse): boolean
  /** More properties of a node. */
  properties(path: string, node: FakeNode): Iterable<readonly [key: string, xml: string]>
  /** After a PUT, before its answer. */
  stored(response: ServerResponse, node: FakeNode, etag: string | undefined): void
}
