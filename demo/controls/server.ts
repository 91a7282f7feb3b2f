import { once } from 'node:events'
import { createServer, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Lifetime } from '../../test/fakes/lifetime.ts'
import type { DemoGoogle } from '../clouds/google.ts'
import { HOST } from '../settings.ts'
import { ACTIONS, controlsPage, isAction, STYLES } from './page.ts'

export interface ControlsOptions {
  readonly google: Pick<DemoGoogle, 'colleague' | 'faults'>
  readonly serverUrl: string
}

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // With `no-referrer`, browsers would send the form with `Origin: null`.
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff'
}

interface Reply {
  readonly status: number
  /** Default: `text/plain`. */
  readonly type?: string
  readonly body?: string
  readonly headers?: OutgoingHttpHeaders
}

/**
 * Starts the page that changes Google Drive and causes Google's faults, on its own port: it is no part of the server.
 * Returns its URL.
 */
export async function startControls(lifetime: Lifetime, options: ControlsOptions): Promise<string> {
  const server = createServer((request, response) => {
    // The path of a form's request is sufficient.
    request.resume()
    void handleRequest(request, options)
      .catch((error: unknown): Reply => ({ status: 500, body: `The action failed: ${String(error)}\n` }))
      .then(({ status, type = 'text/plain', body = '', headers }) => {
        response.writeHead(status, { ...HEADERS, 'content-type': `${type}; charset=utf-8`, ...headers }).end(body)
      })
  })
  server.listen(0, HOST)
  await once(server, 'listening')
  lifetime.teardown(async () => {
    server.closeAllConnections()
    await once(server.close(), 'close')
  })
  return `http://${HOST}:${(server.address() as AddressInfo).port}/`
}

async function handleRequest(
  { method, url, headers, socket }: IncomingMessage,
  options: ControlsOptions
): Promise<Reply> {
  const host = `${HOST}:${socket.localPort ?? 0}`
  // Another host name that resolves to this machine is another site.
  if (headers.host !== host) return { status: 421, body: 'The Host header is not the address of this page.\n' }
  if (method === 'GET' && url === '/styles.css') return { status: 200, type: 'text/css', body: STYLES }
  if (method === 'GET' && url === '/') return page(options)
  const action = url?.slice(1) ?? ''
  if (!isAction(action)) return { status: 404, body: 'The requested URL was not found.\n' }
  if (method !== 'POST') return { status: 405, body: 'Use the buttons of the page.\n', headers: { allow: 'POST' } }
  // Every browser sends the origin of a form.
  if (headers.origin !== `http://${host}`) return { status: 403, body: 'Requests from other pages are not allowed.\n' }
  await ACTIONS[action].act(options.google)
  return { status: 303, headers: { location: '/' } }
}

async function page({ google: { colleague, faults }, serverUrl }: ControlsOptions): Promise<Reply> {
  const { throttledForMs, slowForMs, changeLagMs } = faults
  const { changeCount, fileNames } = colleague
  const grants = await faults.grants()
  const body = controlsPage({ throttledForMs, slowForMs, changeLagMs, grants, changeCount, fileNames, serverUrl })
  // While a fault lasts, the page shows the remaining time.
  const isFaultActive = throttledForMs + slowForMs > 0
  return { status: 200, type: 'text/html', body, headers: isFaultActive ? { refresh: '1' } : {} }
}
