import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Entry } from '../../../src/core/entry.ts'
import type { ConnectionView, ProviderView } from '../../../web/picker/api.ts'
import { FakeServer, receiveBody } from '../../fakes/fake-server.ts'
import { serveRoute } from './routes.ts'

/** A one-time response of a route that replaces the normal one. */
export interface Script {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** Delays the response. */
  readonly until?: Promise<unknown>
}

/** The strictest Content-Security-Policy that the picker supports. */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; report-uri /violations"

const HOST_SCRIPT = `
  window.pickerEvents = []
  window.violations = []
  document.addEventListener('securitypolicyviolation', (event) => {
    window.violations.push(event.violatedDirective + ' ' + event.sourceFile)
  })
  for (const type of ['select', 'open', 'error']) {
    document.addEventListener(type, (event) => {
      if (event instanceof CustomEvent) window.pickerEvents.push({ type, detail: { ...event.detail } })
      if (type === 'open' && window.preventsOpen) event.preventDefault()
    })
  }
  if (new URLSearchParams(location.search).has('token')) {
    document.querySelector('cloud-folder-picker').getHeaders = async () => ({ authorization: 'Bearer abc' })
  }
`

/** The plugin's routes as the picker uses them, the embedding page, and a provider's login page. */
export class PickerCloud extends FakeServer {
  providers: ProviderView[] = []
  connected: ConnectionView[] = []
  /** The entries of each folder, by its ID; `''` is the root. */
  readonly folders = new Map<string, Entry[]>()
  /** Requests such as `GET /cloud/s3/listing?limit=200`. */
  readonly requests: string[] = []
  readonly uploads: { name: string; type: string; body: Buffer }[] = []
  /** CSP violations that the browser has reported. */
  readonly violations: string[] = []
  /** The token that each request must carry to avoid a 401; `null` if none is required. */
  token: string | null = null
  /** The results of pending logins, by flow ID. */
  readonly logins = new Map<string, () => ConnectionView | null>()
  /** Whether the server has the events route. */
  hasEvents = false
  /** The open streams of events, by their folder; `root` is the root. */
  readonly streams = new Map<ServerResponse, string>()
  readonly #scripts: { readonly start: string; readonly script: Script }[] = []
  readonly #folder: string

  /** @param folder contains the built picker */
  private constructor(folder: string) {
    super(['host', 'provider'])
    this.#folder = folder
  }

  static async start(t: Test, folder: string): Promise<PickerCloud> {
    const cloud = new PickerCloud(folder)
    await cloud.listen(t, 'the fake of the plugin')
    return cloud
  }

  /** @param start beginning of the request: `GET /cloud/s3/listing` */
  respondOnce(start: string, script: Script): void {
    this.#scripts.push({ start, script })
  }

  /** Responds once with an error in the plugin's format. */
  failOnce(start: string, status: number, code: string, headers: Record<string, string> = {}, detail = code): void {
    this.respondOnce(start, {
      status,
      headers: { 'content-type': 'application/problem+json', ...headers },
      body: { type: `urn:fastify-cloud-storage:error:${code}`, title: code, status, detail, code, requestId: 'req-1' }
    })
  }

  protected override async serve(message: IncomingMessage, response: ServerResponse, host: string): Promise<void> {
    const url = new URL(message.url ?? '/', this.originOf(host))
    if (host === 'provider') {
      response.setHeader('content-type', 'text/html')
      response.end(`<title>Provider</title><h1>Log in</h1><a href="${url.searchParams.get('back') ?? ''}">Agree</a>`)
      return
    }
    if (!url.pathname.startsWith('/cloud/')) {
      await this.#servePage(url, message, response)
      return
    }
    if (url.pathname === '/cloud/events') {
      this.#serveEvents(url, message, response)
      return
    }
    const requestLine = `${message.method ?? ''} ${url.pathname}${url.search}`
    this.requests.push(requestLine)
    response.setHeader('cache-control', 'no-store')
    const index = this.#scripts.findIndex(({ start }) => requestLine.startsWith(start))
    const [match] = index === -1 ? [] : this.#scripts.splice(index, 1)
    await match?.script.until
    if (match?.script.status !== undefined) {
      const { status, headers = {}, body } = match.script
      message.resume()
      response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body))
    } else if (this.token !== null && message.headers.authorization !== this.token) {
      response.writeHead(401, { 'content-type': 'application/problem+json' }).end('{"code":"UNAUTHENTICATED"}')
    } else {
      await serveRoute(this, url, message, response)
    }
  }

  /** Reports a change of a folder to its streams. */
  reportChange(folder = 'root'): void {
    for (const [response, watched] of this.streams) {
      if (watched !== folder) continue
      response.write(`event: changed\ndata: ${JSON.stringify({ provider: 's3', connectionId: 's3-1', folder })}\n\n`)
    }
  }

  #serveEvents({ searchParams }: URL, message: IncomingMessage, response: ServerResponse): void {
    const [connection, folder] = [searchParams.get('connection'), searchParams.get('folder')]
    if (!this.hasEvents) {
      response.writeHead(404).end()
      return
    }
    if (message.headers.accept !== 'text/event-stream') this.mistakes.push('events without Accept')
    if (this.token !== null && message.headers.authorization !== this.token)
      this.mistakes.push('events without a token')
    if (connection === null || folder === null) this.mistakes.push('events without a folder')
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'private, no-store, no-transform' })
    response.write(': watching\n\n')
    this.streams.set(response, folder ?? '')
    response.once('close', () => this.streams.delete(response))
  }

  async #servePage({ pathname, searchParams }: URL, message: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('content-security-policy', POLICY)
    if (pathname === '/') {
      const attributes = searchParams.get('attributes') ?? ''
      response.setHeader('content-type', 'text/html; charset=utf-8')
      response.end(`<!doctype html><html lang="${searchParams.get('lang') ?? 'en'}" dir="${searchParams.get('dir') ?? 'ltr'}">
        <head><title>Host</title><link rel="stylesheet" href="/host.css"></head>
        <body><main><h1>Host</h1><cloud-folder-picker ${attributes}><button slot="actions">OK</button></cloud-folder-picker></main>
        <script type="module" src="/host.js"></script>
        <script type="module" src="/picker/cloud-folder-picker.js"></script></body></html>`)
    } else if (pathname === '/host.js') {
      response.setHeader('content-type', 'text/javascript').end(HOST_SCRIPT)
    } else if (pathname === '/host.css') {
      response.setHeader('content-type', 'text/css').end(':root { color-scheme: light dark }')
    } else if (pathname === '/violations') {
      this.violations.push(String((await receiveBody(message)).body))
      response.writeHead(204).end()
    } else if (/^\/picker\/[\w-]+\.(?:js|html)$/.test(pathname)) {
      response.setHeader('content-type', pathname.endsWith('.js') ? 'text/javascript' : 'text/html')
      response.end(readFileSync(join(this.#folder, pathname.slice('/picker/'.length))))
    } else {
      response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end()
    }
  }
}
