import { rm, utimes } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { systemClock } from '../../../src/core/time.ts'
import type { Exceptions, Harness } from '../../contract/harness.ts'
import { openWebdav } from '../../contract/harness/webdav.ts'
import { withAllLayers } from '../../contract/layers.ts'
import { ForwardingProxy } from '../net/forwarding-proxy.ts'

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

export interface TestFolder {
  readonly name: string
  readonly proxy: RecordingProxy
  /** Through the front proxy. */
  readonly url: string
  /** Directly at the server. */
  readonly directUrl: string
  readonly seed: (files: Files) => Promise<void>
}

let folderCount = 0

/** Returns true if it responds to the request itself; otherwise the server behind does. */
export type Responder = (request: IncomingMessage, response: ServerResponse) => boolean

/**
 * A proxy between a backend and a real server that records requests and counts pending ones. Like nginx in front of
 * PHP, it reads a response at full speed, so that slow readers occupy no worker of the server.
 */
export class RecordingProxy extends ForwardingProxy {
  /** Method, path and authorization scheme of each request. */
  readonly requests: { readonly method: string; readonly path: string; readonly scheme: string | undefined }[] = []
  readonly #responder: Responder | undefined
  readonly #pending = new Set<ServerResponse>()

  private constructor(target: string, responder: Responder | undefined) {
    super(target, { keepAlive: false })
    this.#responder = responder
  }

  static async start(t: Test, target: string, responder: Responder | undefined): Promise<RecordingProxy> {
    const proxy = new RecordingProxy(target, responder)
    await proxy.listenInFront(t)
    return proxy
  }

  urlOf(directUrl: string): string {
    return this.origin + new URL(directUrl).pathname
  }

  /** Returns the number of pending exchanges. Each of them uses one socket. */
  busy(): number {
    return this.#pending.size
  }

  protected override async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const stream of [request, response]) stream.on('error', () => {})
    this.#pending.add(response)
    response.once('close', () => this.#pending.delete(response))
    const { method = '', url: path = '', headers } = request
    this.requests.push({ method, path, scheme: headers.authorization?.split(' ', 1)[0] })
    if (this.#responder?.(request, response) === true) return
    try {
      const upstream = await this.forward(request, response)
      upstream.on('data', (chunk: Buffer) => response.write(chunk))
      upstream.on('end', () => response.end())
      upstream.on('error', () => request.socket.destroy())
    } catch {
      request.socket.destroy()
    }
  }
}

/** Creates an empty folder at the server, with a name that needs encoding. */
export async function newTestFolder(t: Test, server: RealDav, responder?: Responder): Promise<TestFolder> {
  const { url, folder, put } = server
  const name = `place ${++folderCount}`
  await createFolder({ folder, put }, `${name}/`)
  const directUrl = `${url}${encodeURIComponent(name)}/`
  const proxy = await RecordingProxy.start(t, url, responder)
  return {
    name,
    proxy,
    url: proxy.urlOf(directUrl),
    directUrl,
    seed: async (files) => {
      for (const [path, content] of Object.entries(files)) {
        if (path.endsWith('/')) await createFolder({ folder, put }, `${name}/${path}`)
        else await put(`${name}/${path}`, content)
      }
    }
  }
}

/** Connects like a user with an old file, from which the backend detects the server's kind of versions. */
export async function connectTo(
  t: Test,
  { folder, put, fields }: RealDav,
  { name, url }: TestFolder
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
export async function createFolder({ folder, put }: Pick<RealDav, 'folder' | 'put'>, path: string): Promise<void> {
  await put(`${path}new`, '')
  await rm(join(folder, path, 'new'))
}

export function harnessOf(server: RealDav, exceptions: Exceptions = {}): Harness {
  return {
    name: server.name,
    open: async (t) => {
      const testFolder = await newTestFolder(t, server)
      return {
        backend: await connectTo(t, server, testFolder),
        seed: testFolder.seed,
        busy: () => testFolder.proxy.busy(),
        missing: { folder: 'no such folder/', file: 'no such file' },
        exceptions
      }
    }
  }
}

/** Applies the layers of a connection. */
export const withConnectionLayers = withAllLayers(systemClock)
