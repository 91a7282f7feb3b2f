import type { ServerResponse } from 'node:http'
import { conditionsHold, sendFile } from './content.ts'
import type { DavExtension } from './extension.ts'
import { DavFailure, DavMistake } from './failure.ts'
import { ALLOWED_METHODS, locate, type FakeDavRequest } from './request.ts'
import { parentOf, type FakeNode, type FakeTree } from './tree.ts'
import { DAV, escapeXml, multistatusXml, parsePropfind, responseXml, type Asked } from './xml.ts'

/** In what servers differ. */
export interface FakeDavRules {
  /** With a slash at both ends. */
  readonly basePath: string
  readonly etags: 'strong' | 'weak' | 'none'
  /** Whether If-Match and If-None-Match are honoured, or ignored. */
  readonly preconditions: boolean
  readonly hrefs: 'path' | 'absolute'
  /** What a collection's path without a slash at its end gets: 301, or what it asks for. */
  readonly collectionSlash: 'redirect' | 'serve'
  /** What a PUT gets whose parent there is not: 409 by RFC 4918; 404 of sabre before 4 and of rclone. */
  readonly missingParent: 404 | 409
  /** In a multistatus the 404 before the 200, which is in two halves. */
  readonly notFoundFirst: boolean
  /** Of `DAV:`. Empty for the default namespace; `mixed` for two of them, as Apache has. */
  readonly prefix: string
}

export interface DavContext extends FakeDavRules {
  readonly origin: string
  readonly tree: FakeTree
  readonly extension: DavExtension | undefined
}

interface Target {
  readonly path: string
  readonly hasSlash: boolean
  readonly node: FakeNode | undefined
}

/** Answers a request whose head and credentials are in order. */
export function answerDav(dav: DavContext, request: FakeDavRequest, response: ServerResponse): void {
  const { path, hasSlash } = locate(request.path, dav.basePath)
  const target = { path, hasSlash, node: dav.tree.get(path) }
  const { method } = request
  // Only a client that knows of the collection lists it, or makes it: it also knows how to write its path.
  const lists = method === 'PROPFIND' && request.headers['depth'] !== '0' && target.node?.kind !== 'file'
  if ((lists || method === 'MKCOL') && !hasSlash) throw new DavMistake(400, 'a collection without a slash')
  if (target.node?.kind === 'collection' && !hasSlash && dav.collectionSlash === 'redirect') {
    throw new DavFailure(301, 'Moved', { location: `${dav.origin}${request.path}/` })
  }
  switch (method) {
    case 'OPTIONS':
      response.writeHead(200, {
        dav: ['1', ...(dav.extension?.features ?? [])].join(', '),
        allow: ALLOWED_METHODS,
        'content-length': 0
      })
      response.end()
      return
    case 'PROPFIND':
      propfind(dav, request, response, target)
      return
    case 'PUT':
      put(dav, request, response, target)
      return
    case 'MKCOL':
      if (target.node !== undefined) throw new DavFailure(405, 'It exists', { allow: ALLOWED_METHODS })
      requireParent(dav, path)
      dav.tree.mkdir(path)
      response.writeHead(201).end()
      return
    case 'DELETE':
      existing(target)
      if (path === '') throw new DavFailure(403, 'The root stays')
      requireConditions(dav, request, target.node)
      dav.tree.delete(path)
      response.writeHead(204).end()
      return
    default: {
      const node = existing(target)
      if (node.kind === 'collection') throw new DavFailure(405, 'A collection', { allow: 'OPTIONS, PROPFIND, DELETE' })
      requireConditions(dav, request, node)
      sendFile(request, response, node, etagOf(dav, node))
    }
  }
}

function propfind(dav: DavContext, request: FakeDavRequest, response: ServerResponse, target: Target): void {
  const { headers, body = Buffer.alloc(0) } = request
  const { depth } = headers
  if (depth !== '0' && depth !== '1') {
    throw new DavMistake(403, `the depth ${depth}`, {}, 'propfind-finite-depth')
  }
  if (headers['transfer-encoding'] !== undefined) throw new DavMistake(411, 'a body of unknown length')
  const isXml = /^(?:application|text)\/xml(?:\s*;\s*charset="?utf-8"?)?$/i.test(headers['content-type'] ?? '')
  if (body.length > 0 && !isXml) throw new DavMistake(415, `the content type ${headers['content-type']}`)
  const asked = parsePropfind(body)
  existing(target)
  const list = () => {
    const isDeep = depth === '1' && target.node?.kind === 'collection'
    const paths = isDeep ? [target.path, ...dav.tree.children(target.path)] : [target.path]
    return paths.map((path) => respond(dav, path, asked))
  }
  const responses = dav.extension === undefined ? list() : dav.extension.page(request, response, list)
  const xml = multistatusXml(responses, dav)
  response.writeHead(207, {
    'content-type': 'application/xml; charset=utf-8',
    'content-length': Buffer.byteLength(xml)
  })
  response.end(xml)
}

function respond(dav: DavContext, path: string, asked: Asked): string {
  const node = dav.tree.get(path)
  if (node === undefined) throw new Error(`${path} vanished`)
  const properties = new Map<string, string>()
  const set = (name: string, value: string) => properties.set(`${DAV} ${name}`, value)
  const etag = etagOf(dav, node)
  set('resourcetype', node.kind === 'collection' ? '<D:collection/>' : '')
  set('displayname', escapeXml(path.split('/').at(-1) ?? ''))
  set('getlastmodified', node.modified.toUTCString())
  if (etag !== undefined) set('getetag', escapeXml(etag))
  if (node.kind === 'file') {
    set('getcontentlength', String(node.content.length))
    set('getcontenttype', escapeXml(node.mimeType))
  }
  for (const [key, xml] of dav.extension?.properties(path, node) ?? []) properties.set(key, xml)
  const below = path.split('/').map(encodeURIComponent).join('/')
  const slash = node.kind === 'collection' && path !== '' ? '/' : ''
  const origin = dav.hrefs === 'absolute' ? dav.origin : ''
  return responseXml(`${origin}${dav.basePath}${below}${slash}`, properties, asked, dav)
}

function put(dav: DavContext, request: FakeDavRequest, response: ServerResponse, target: Target): void {
  const { path, node } = target
  const { headers, body } = request
  // RFC 9110, 13.2.1: what would fail anyhow fails for its own reason, not for a condition.
  if (node?.kind === 'collection') throw new DavFailure(405, 'A collection', { allow: ALLOWED_METHODS })
  if (target.hasSlash) throw new DavMistake(400, 'a file with a slash at its end')
  requireParent(dav, path, dav.missingParent)
  requireConditions(dav, request, node)
  const stored = dav.tree.put(path, body ?? '', { mimeType: headers['content-type'] ?? 'application/octet-stream' })
  const etag = etagOf(dav, stored)
  // RFC 9110, 9.3.4: the content is stored as it came, so that its tag may be said.
  if (etag !== undefined && dav.etags === 'strong') response.setHeader('etag', etag)
  dav.extension?.stored(response, stored, etag)
  response.writeHead(node === undefined ? 201 : 204).end()
}

/** What stands there. A file is not to be found by the path of a collection. */
function existing({ node, hasSlash }: Target): FakeNode {
  if (node === undefined || (node.kind === 'file' && hasSlash)) throw new DavFailure(404, 'Not found')
  return node
}

function requireParent(dav: DavContext, path: string, status = 409): void {
  if (dav.tree.get(parentOf(path))?.kind !== 'collection') throw new DavFailure(status, 'There is no such parent')
}

function requireConditions(dav: DavContext, request: FakeDavRequest, node: FakeNode | undefined): void {
  if (!dav.preconditions) return
  const etag = node === undefined ? undefined : etagOf(dav, node)
  if (conditionsHold(request, node !== undefined, etag)) return
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  const isUnmodified = isRead && request.headers['if-match'] === undefined
  throw new DavFailure(isUnmodified ? 304 : 412, 'A condition', etag === undefined ? {} : { etag })
}

function etagOf({ etags }: DavContext, node: FakeNode): string | undefined {
  if (etags === 'none') return undefined
  return `${etags === 'weak' ? 'W/' : ''}"${node.id}-${node.version}"`
}
