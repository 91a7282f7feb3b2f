import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import { NET_CERTIFICATE, NET_KEY } from './certificate.ts'

export interface NetRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface NetServerOptions {
  readonly host?: string
  readonly port?: number
  readonly isTls?: boolean
}

/** Statistics of a listening socket. */
export interface Listening {
  readonly port: number
  /** The number of sockets accepted so far. */
  connections: number
  readonly sockets: Set<Socket>
}

/** An HTTP server that records its requests and runs the test's handler; by default it returns an empty listing. */
export interface NetServer extends Listening {
  readonly requests: NetRequest[]
  readonly origin: string
  /** Announces this keep-alive time to clients and applies it. */
  readonly keepAlive: (ms: number) => void
  respond: RequestListener
}

/** A response that satisfies S3 clients and all others. */
export const EMPTY_LISTING = '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'

export async function startServer(t: Test, options: NetServerOptions = {}): Promise<NetServer> {
  const { host = '127.0.0.1', isTls = false } = options
  const requests: NetRequest[] = []
  const handle: RequestListener = (request, response) => {
    const chunks: Buffer[] = []
    response.on('error', () => {})
    request.on('error', () => {})
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      requests.push({ method, url, headers, body: Buffer.concat(chunks).toString() })
      server.respond(request, response)
    })
  }
  const http = isTls ? createTlsServer({ key: NET_KEY, cert: NET_CERTIFICATE }, handle) : createServer(handle)
  const listening = await listen(t, http, options)
  t.teardown(() => {
    http.closeAllConnections()
  })
  const server: NetServer = Object.assign(listening, {
    requests,
    keepAlive: (ms: number) => {
      http.keepAliveTimeout = ms
    },
    origin: `${isTls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${listening.port}`,
    respond: ((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/xml' }).end(EMPTY_LISTING)
    }) satisfies RequestListener
  })
  return server
}

/** Starts a server without a protocol: the test handles each socket. */
export async function startTcp(
  t: Test,
  handle: (socket: Socket) => void,
  options: NetServerOptions = {}
): Promise<Listening & { bytes: number }> {
  const tcp = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => (listening.bytes += chunk.length))
    handle(socket)
  })
  const listening = Object.assign(await listen(t, tcp, options), { bytes: 0 })
  return listening
}

async function listen(t: Test, server: Server | TcpServer, options: NetServerOptions): Promise<Listening> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    listening.connections++
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(options.port ?? 0, options.host ?? '127.0.0.1')
  await once(server, 'listening')
  const listening = { port: (server.address() as AddressInfo).port, connections: 0, sockets }
  t.teardown(async () => {
    server.close()
    for (const socket of sockets) socket.destroy()
    await once(server, 'close')
  })
  return listening
}
