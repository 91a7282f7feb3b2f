import { once } from 'node:events'
import { rm, utimes } from 'node:fs/promises'
import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { systemClock } from '../../../src/core/time.ts'
import { ConnectionHealth } from '../../../src/layers/breaker.ts'
import { withResilience } from '../../../src/layers/resilient.ts'
import type { Exceptions, Harness } from '../../contract/harness.ts'
import { openWebdav } from '../../contract/harness/webdav.ts'
import { TEST_TIMEOUTS } from '../time/timeouts.ts'

type Files = Readonly<Record<string, string | Buffer>>

/** A server and the credentials for it. */
export interface RealDav {
  readonly name: string
  readonly url: string
  readonly fields: { readonly username: string; readonly password: string } | { readonly token: string }
  /** The folder on disk that `url` serves. */
  readonly folder: string
  readonly put: (path: string, content: string | Buffer) => Promise<void>
  /** The authentication scheme of its `Authorization` header. */
  readonly scheme: 'Basic' | 'Bearer' | 'Digest'
}

export interface Place {
  readonly name: string
  readonly front: Front
  /** Through the front proxy. */
  readonly url: string
  /** Directly at the server. */
  readonly direct: string
  readonly seed: (files: Files) => Promise<void>
}

let places = 0

/** Returns true if it responds to the request itself; otherwise the server behind does. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean

/**
 * A proxy between a backend and a real server that records requests and counts pending ones. Like nginx in front of
 * PHP, it reads a response at full speed, so that slow readers occupy no worker of the server.
 */
export class Front {
  /** Method, path and authorization scheme of each request. */
  readonly requests: { readonly method: string; readonly path: string; readonly scheme: string | undefined }[] = []
  readonly #target: string
  readonly #answer: Answer | undefined
  readonly #unfinished = new Set<ServerResponse>()
  readonly #server = createServer((request, response) => {
    void this.#serve(request, response)
  })

  private constructor(target: string, answer: Answer | undefined) {
    this.#target = target
    this.#answer = answer
  }

  static async start(t: Test, target: string, answer: Answer | undefined): Promise<Front> {
    const front = new Front(target, answer)
    front.#server.listen(0, '127.0.0.1')
    await once(front.#server, 'listening')
    t.teardown(async () => {
      front.#server.closeAllConnections()
      front.#server.close()
      await once(front.#server, 'close')
    })
    return front
  }

  urlOf(direct: string): string {
    const { port } = this.#server.address() as AddressInfo
    return `http://127.0.0.1:${port}${new URL(direct).pathname}`
  }

  /** Returns the number of pending exchanges. Each of them uses one socket. */
  busy(): number {
    return this.#unfinished.size
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const stream of [request, response]) stream.on('error', () => {})
    this.#unfinished.add(response)
    response.once('close', () => this.#unfinished.delete(response))
    const { method = '', url: path = '', headers } = request
    this.requests.push({ method, path, scheme: headers.authorization?.split(' ', 1)[0] })
    if (this.#answer?.(request, response) === true) return
    const { hostname, port } = new URL(this.#target)
    const forwarded = httpRequest({ hostname, port, method, path, headers: endToEnd(headers), agent: false })
    forwarded.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers)).flushHeaders()
      answer.on('data', (chunk: Buffer) => response.write(chunk))
      answer.on('end', () => response.end())
      answer.on('error', () => request.socket.destroy())
    })
    // A server that responds before the end of the request body may refuse the rest.
    forwarded.on('error', () => {
      if (response.headersSent) request.resume()
      else request.socket.destroy()
    })
    // An interrupted response must not end cleanly for the client.
    response.once('close', () => {
      if (!response.writableFinished) forwarded.destroy()
    })
    request.pipe(forwarded)
  }
}

/** Passes on the headers that frame the body, because framing is under test. */
function endToEnd({ connection, 'keep-alive': keepAlive, ...headers }: IncomingMessage['headers']) {
  return headers
}

/** Creates an empty folder at the server, with a name that needs encoding. */
export async function newPlace(t: Test, server: RealDav, answer?: Answer): Promise<Place> {
  const { url, folder, put } = server
  const name = `place ${++places}`
  await makeFolder({ folder, put }, `${name}/`)
  const direct = `${url}${encodeURIComponent(name)}/`
  const front = await Front.start(t, url, answer)
  return {
    name,
    front,
    url: front.urlOf(direct),
    direct,
    seed: async (files) => {
      for (const [path, content] of Object.entries(files)) {
        if (path.endsWith('/')) await makeFolder({ folder, put }, `${name}/${path}`)
        else await put(`${name}/${path}`, content)
      }
    }
  }
}

/** Connects like a user with an old file, from which the backend detects the server's kind of versions. */
export async function connectTo(
  t: Test,
  { folder, put, fields }: RealDav,
  { name, url }: Place
): Promise<StorageBackend> {
  const path = `${name}/old.txt`
  await put(path, 'old')
  // Apache's ETags are weak while a file is new.
  await utimes(join(folder, path), 1_700_000_000, 1_700_000_000)
  const backend = await openWebdav(t, { baseUrl: url, ...fields })
  await rm(join(folder, path))
  return backend
}

/** Folders have the same owner as the files in them. */
export async function makeFolder({ folder, put }: Pick<RealDav, 'folder' | 'put'>, path: string): Promise<void> {
  await put(`${path}new`, '')
  await rm(join(folder, path, 'new'))
}

export function harnessOf(server: RealDav, exceptions: Exceptions = {}): Harness {
  return {
    name: server.name,
    open: async (t) => {
      const place = await newPlace(t, server)
      return {
        backend: await connectTo(t, server, place),
        seed: place.seed,
        busy: () => place.front.busy(),
        missing: { folder: 'no such folder/', file: 'no such file' },
        exceptions
      }
    }
  }
}

/** Applies the layers of a connection. */
export function layered(backend: StorageBackend): StorageBackend {
  const health = new ConnectionHealth(systemClock).get(backend.provider, 'connection')
  return withResilience(backend, { health, timeouts: TEST_TIMEOUTS, clock: systemClock })
}
