import type { ServerResponse } from 'node:http'
import { conditionsHold, sendFile } from './content.ts'
import type { DavExtension } from './extension.ts'
import { DavFailure, DavMistake } from './failure.ts'
import { ALLOWED_METHODS, conditionOf, destinationOf, resolvePath, type FakeDavRequest } from './request.ts'
import { parentOf, type FakeNode, type FakeTree } from './tree.ts'
import { DAV, escapeXml, multistatusXml, parsePropfind, responseXml, type PropfindRequest } from './xml.ts'

/** Differences between servers. */
export interface FakeDavRules {
  /** With a slash at both ends. */
  readonly basePath: string
  readonly etags: 'strong' | 'weak' | 'none'
  /** Whether If-Match and If-None-Match are honoured or ignored. */
  readonly preconditions: boolean
  readonly hrefs: 'path' | 'absolute'
  /** The response for the path of a collection without a trailing slash: a 301, or the collection. */
  readonly collectionSlash: 'redirect' | 'serve'
  /**
   * The response to a PUT without a parent: 409 by RFC 4918; 404 of sabre before 4 and of rclone; 500 of nginx, which
   * creates the parent with `create_full_put_path on`.
   */
  readonly missingParent: 404 | 409 | 500 | 'made'
  /** Whether PROPFIND returns ETags; nginx sends them only as headers of files. */
  readonly etagProperties: boolean
  /** Whether the received part of an interrupted PUT stays as the new content, replacing the old one. */
  readonly keepsPartialUpload: (upload: { readonly isNew: boolean; readonly hasLength: boolean }) => boolean
  /** `ignores-overwrite`: a MOVE always replaces, as with nephele. `refused`: MOVE is not supported. */
  readonly moves: 'native' | 'ignores-overwrite' | 'refused'
  /** Handling of an ETag in an `If` header: Apache checks it, sabre 1.8 ignores it, lighttpd and rclone refuse it. */
  readonly ifHeader: 'checked' | 'ignored' | 'refused'
  /** Whether a multistatus has the 404 before the 200, which is split in two. */
  readonly notFoundFirst: boolean
  /** Whether all names are stored and listed in NFC, regardless of their original form. */
  readonly normalizes: boolean
  /** The prefix of `DAV:`. Empty for the default namespace; `mixed` for two prefixes, as with Apache. */
  readonly prefix: string
}

export interface DavContext extends FakeDavRules {
  readonly origin: string
  /** The allowed values of `Host`. */
  readonly hosts: readonly string[]
  readonly tree: FakeTree
  readonly extension: DavExtension | undefined
}

interface Target {
  readonly path: string
  /** The path as requested, which responses repeat. */
  readonly requestedPath: string
  readonly hasSlash: boolean
  readonly node: FakeNode | undefined
}

function targetOf(dav: DavContext, request: FakeDavRequest): Target {
  const { path: requestedPath, hasSlash } = resolvePath(request.path, dav.basePath)
  const path = dav.normalizes ? requestedPath.normalize('NFC') : requestedPath
  return { path, requestedPath, hasSlash, node: dav.tree.get(path) }
}

/** Handles a request with a valid head and valid credentials. */
export function handleDav(dav: DavContext, request: FakeDavRequest, response: ServerResponse): void {
  const target = targetOf(dav, request)
  const { path, hasSlash } = target
  const { method } = request
  // A client that lists or creates a collection knows that it is one, and must write its path with a slash.
  const isListing = method === 'PROPFIND' && request.headers['depth'] !== '0' && target.node?.kind !== 'file'
  if ((isListing || method === 'MKCOL') && !hasSlash) throw new DavMistake(400, 'a collection without a slash')
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
    case 'MOVE':
      move(dav, request, response, target)
      return
    case 'DELETE':
      requireNode(target)
      if (path === '') throw new DavFailure(403, 'The root stays')
      requireConditions(dav, request, target.node)
      dav.tree.delete(path)
      response.writeHead(204).end()
      return
    default: {
      const node = requireNode(target)
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
  const requestedProperties = parsePropfind(body)
  requireNode(target)
  const isDeep = depth === '1' && target.node?.kind === 'collection'
  const paths = isDeep ? [target.path, ...dav.tree.children(target.path)] : [target.path]
  const responses = paths.map((path) => renderResponse(dav, path, target, requestedProperties))
  const xml = multistatusXml(responses, dav)
  response.writeHead(207, {
    'content-type': 'application/xml; charset=utf-8',
    'content-length': Buffer.byteLength(xml)
  })
  response.end(xml)
}

function renderResponse(dav: DavContext, path: string, target: Target, requestedProperties: PropfindRequest): string {
  const node = dav.tree.get(path)
  if (node === undefined) throw new Error(`${path} vanished`)
  const properties = new Map<string, string>()
  const setProperty = (name: string, value: string) => properties.set(`${DAV} ${name}`, value)
  const etag = etagOf(dav, node)
  setProperty('resourcetype', node.kind === 'collection' ? '<D:collection/>' : '')
  setProperty('displayname', escapeXml(path.split('/').at(-1) ?? ''))
  setProperty('getlastmodified', node.modified.toUTCString())
  if (etag !== undefined && dav.etagProperties) setProperty('getetag', escapeXml(etag))
  if (node.kind === 'file') {
    setProperty('getcontentlength', String(node.content.length))
    setProperty('getcontenttype', escapeXml(node.mimeType))
  }
  const isMember = path !== target.path
  for (const [key, xml] of dav.extension?.properties(path, node, isMember) ?? []) properties.set(key, xml)
  // Like sabre, repeats the requested path, with the names of the children appended.
  const requestedPath = target.requestedPath + path.slice(target.path.length)
  const encodedPath = requestedPath.split('/').map(encodeURIComponent).join('/')
  const slash = node.kind === 'collection' && path !== '' ? '/' : ''
  const origin = dav.hrefs === 'absolute' ? dav.origin : ''
  return responseXml(`${origin}${dav.basePath}${encodedPath}${slash}`, properties, requestedProperties, dav)
}

function put(dav: DavContext, request: FakeDavRequest, response: ServerResponse, target: Target): void {
  const { path, node } = target
  const { headers, body } = request
  requirePut(dav, request, target)
  const stored = dav.tree.put(path, body ?? '', { mimeType: headers['content-type'] ?? 'application/octet-stream' })
  const etag = etagOf(dav, stored)
  // RFC 9110, 9.3.4: the tag may be sent, because the content is stored unchanged.
  if (etag !== undefined && dav.etags === 'strong') response.setHeader('etag', etag)
  dav.extension?.stored(response, stored, etag)
  response.writeHead(node === undefined ? 201 : 204).end()
}

function requirePut(dav: DavContext, request: FakeDavRequest, { path, node, hasSlash }: Target): void {
  // RFC 9110, 13.2.1: conditions are checked only for requests that would otherwise succeed.
  if (node?.kind === 'collection') throw new DavFailure(405, 'A collection', { allow: ALLOWED_METHODS })
  if (hasSlash) throw new DavMistake(400, 'a file with a slash at its end')
  if (dav.missingParent !== 'made') requireParent(dav, path, dav.missingParent)
  requireConditions(dav, request, node)
}

/** A PUT in progress, on a server that writes in place. */
export interface OpenPut {
  /** The body is complete. Restores the previous file until the new one is written as a whole. */
  end(): void
  /** The body was interrupted. The received part stays, unless the file was deleted or replaced meanwhile. */
  interrupt(received: Buffer): void
}

/** Opens the file of a PUT that would succeed, which truncates it. */
export function openPut(dav: DavContext, request: FakeDavRequest): OpenPut | undefined {
  const target = targetOf(dav, request)
  const { path, node: previous } = target
  const hasLength = request.headers['content-length'] !== undefined
  if (!dav.keepsPartialUpload({ isNew: previous === undefined, hasLength })) return undefined
  try {
    requirePut(dav, request, target)
  } catch {
    return undefined
  }
  const isOpen = () => dav.tree.get(path) === opened
  const opened = dav.tree.put(path, '')
  return {
    end() {
      if (isOpen()) dav.tree.restore(path, previous)
    },
    interrupt(received) {
      if (isOpen()) dav.tree.put(path, received)
    }
  }
}

/** Moves a file. Like sabre 1.8, it deletes the destination before it looks up the source. */
function move(dav: DavContext, request: FakeDavRequest, response: ServerResponse, { path, node }: Target): void {
  if (dav.moves === 'refused') throw new DavFailure(405, 'No MOVE', { allow: ALLOWED_METHODS })
  const destination = destinationOf(request, dav.hosts)
  const requestedPath = resolvePath(destination.pathname, dav.basePath).path
  const to = dav.normalizes ? requestedPath.normalize('NFC') : requestedPath
  const destinationNode = dav.tree.get(to)
  requireIf(dav, request, destination, destinationNode)
  const isOverwrite = dav.moves === 'ignores-overwrite' || request.headers['overwrite'] === 'T'
  if (destinationNode !== undefined && !isOverwrite) throw new DavFailure(412, 'The destination exists')
  requireParent(dav, to)
  if (to !== path) dav.tree.delete(to)
  if (node?.kind !== 'file') throw new DavFailure(404, 'Not found')
  dav.tree.move(path, to)
  response.writeHead(destinationNode === undefined ? 201 : 204).end()
}

/** Checks an `If` header for the destination, on a server that does so. */
export function requireIf(
  dav: Pick<DavContext, 'ifHeader' | 'etags'>,
  request: FakeDavRequest,
  destination: URL,
  destinationNode: FakeNode | undefined
): void {
  const condition = conditionOf(request)
  if (condition === undefined || dav.ifHeader === 'ignored') return
  if (condition.url.href !== destination.href) throw new DavMistake(412, 'a condition on something else')
  const isMet = destinationNode !== undefined && condition.etag === etagOf(dav, destinationNode)
  if (dav.ifHeader === 'refused' || !isMet) throw new DavFailure(412, 'A condition')
}

/** Returns the node. A file is not found by the path of a collection. */
function requireNode({ node, hasSlash }: Target): FakeNode {
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

function etagOf({ etags }: Pick<DavContext, 'etags'>, node: FakeNode): string | undefined {
  if (etags === 'none') return undefined
  return `${etags === 'weak' ? 'W/' : ''}"${node.id}-${node.version}"`
}
