import type { ServerResponse } from 'node:http'
import { DavFailure, DavMistake } from '../dav/failure.ts'
import { requireIf } from '../dav/methods.ts'
import { destinationOf, resolvePath, type FakeDavRequest } from '../dav/request.ts'
import { parentOf, type FakeFile, type FakeTree } from '../dav/tree.ts'

const COMMON_HEADERS = ['host', 'connection', 'authorization', 'user-agent', 'accept', 'accept-encoding']
const METHOD_HEADERS: Readonly<Record<string, readonly string[]>> = {
  MKCOL: ['destination', 'content-length'],
  PUT: ['destination', 'oc-total-length', 'content-type', 'content-length'],
  MOVE: ['destination', 'overwrite', 'oc-total-length', 'if', 'content-length'],
  DELETE: []
}
/** The minimum length of all chunks but the last. */
const MIN_CHUNK_BYTES = 5_000_000

interface ChunkFolder {
  readonly destination: string
  readonly chunks: Map<number, Buffer>
}

interface FileStore {
  readonly tree: FakeTree
  readonly basePath: string
  readonly hosts: readonly string[]
  /** Called after a file was stored, before the response. */
  readonly stored: (response: ServerResponse, file: FakeFile) => void
}

/**
 * Nextcloud's chunked upload v2: a folder of numbered chunks; a MOVE of its `.file` concatenates them into one file.
 * An interrupted chunk is discarded.
 */
export class FakeChunkedUploads {
  /** Uploads that are neither finished nor deleted. */
  readonly open = new Map<string, ChunkFolder>()

  /** @param path relative to the collection of the user's uploads */
  serve(path: string, request: FakeDavRequest, response: ServerResponse, store: FileStore): void {
    const { method, headers } = request
    const [, name = '', memberName] = /^([\w-]{1,64})(?:\/(.*))?$/.exec(path) ?? []
    const allowed = METHOD_HEADERS[method]
    if (allowed === undefined || name === '') throw new DavMistake(405, `${method} of uploads/${path}`)
    const unknown = Object.keys(headers).filter(
      (header) => !COMMON_HEADERS.includes(header) && !allowed.includes(header)
    )
    if (unknown.length > 0) throw new DavMistake(400, `the header ${unknown.join()}`)
    if (method === 'MKCOL') this.#start(name, memberName, request, store)
    else {
      const folder = this.open.get(name)
      if (folder === undefined) throw new DavFailure(404, 'There is no such upload')
      if (method === 'DELETE') this.#remove(name, memberName)
      else if (method === 'PUT') this.#storeChunk(folder, memberName, request)
      else {
        this.#finish(name, memberName, folder, request, response, store)
        return
      }
    }
    response.writeHead(method === 'DELETE' ? 204 : 201).end()
  }

  #start(name: string, memberName: string | undefined, { headers }: FakeDavRequest, { hosts }: FileStore): void {
    if (memberName !== '') throw new DavMistake(400, 'an upload without a slash')
    const { destination = '' } = headers
    if (!URL.canParse(destination) || !hosts.includes(new URL(destination).host)) {
      throw new DavMistake(400, `the destination ${destination}`)
    }
    if (this.open.has(name)) throw new DavFailure(405, 'It exists')
    this.open.set(name, { destination, chunks: new Map() })
  }

  #remove(name: string, memberName: string | undefined): void {
    if (memberName !== '') throw new DavMistake(400, 'a part of an upload is removed')
    this.open.delete(name)
  }

  #storeChunk(
    { destination, chunks }: ChunkFolder,
    memberName: string | undefined,
    { headers, body }: FakeDavRequest
  ): void {
    const number = /^\d{1,5}$/.test(memberName ?? '') ? Number(memberName) : 0
    if (number < 1 || number > 10_000) throw new DavMistake(400, `the chunk ${memberName}`)
    if (headers['destination'] !== destination) throw new DavMistake(400, 'a chunk for something else')
    if (headers['content-length'] === undefined) throw new DavMistake(411, 'a chunk of unknown length')
    chunks.set(number, body ?? Buffer.alloc(0))
  }

  #finish(
    name: string,
    memberName: string | undefined,
    { destination, chunks }: ChunkFolder,
    request: FakeDavRequest,
    response: ServerResponse,
    { tree, basePath, hosts, stored }: FileStore
  ): void {
    if (memberName !== '.file') throw new DavMistake(404, `the MOVE of ${memberName}`)
    const url = destinationOf(request, hosts)
    if (url.href !== destination) throw new DavMistake(400, 'another destination than it began with')
    const { path } = resolvePath(url.pathname, basePath)
    const existing = tree.get(path)
    requireIf({ ifHeader: 'checked', etags: 'strong' }, request, url, existing)
    if (existing !== undefined && request.headers['overwrite'] === 'F')
      throw new DavFailure(412, 'The destination exists')
    if (existing?.kind === 'collection') throw new DavFailure(400, 'The given destination is a directory.')
    if (tree.get(parentOf(path))?.kind !== 'collection') throw new DavFailure(409, 'There is no such parent')
    const parts = [...chunks].sort(([a], [b]) => a - b).map(([, part]) => part)
    if (parts.slice(0, -1).some(({ length }) => length < MIN_CHUNK_BYTES)) throw new DavMistake(400, 'a small chunk')
    const content = Buffer.concat(parts)
    const total = Number(request.headers['oc-total-length'])
    if (content.length !== total) {
      throw new DavMistake(400, `Chunks on server do not sum up to ${total} but to ${content.length} bytes`)
    }
    this.open.delete(name)
    stored(response, tree.put(path, content))
    response.writeHead(existing === undefined ? 201 : 204).end()
  }
}
