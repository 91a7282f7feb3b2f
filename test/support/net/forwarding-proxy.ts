import { once } from 'node:events'
import { Agent, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { FakeServer } from '../../fakes/fake-server.ts'

/** The base of proxies in front of a real server. They pass on its own Host header, so that signatures stay valid. */
export abstract class ForwardingProxy extends FakeServer {
  protected readonly target: URL
  readonly #agent: Agent

  /** Only host and port of `target` are used for requests. */
  protected constructor(target: string, { keepAlive }: { readonly keepAlive: boolean }) {
    super()
    this.target = new URL(target)
    this.#agent = new Agent({ keepAlive })
  }

  protected async listenInFront(t: Test): Promise<void> {
    await this.listen(t, `the proxy in front of ${this.target.href}`)
    t.teardown(() => {
      this.#agent.destroy()
    })
  }

  /** Sends the request to the server. Resolves with its response, whose head has been sent to the client. */
  protected async forward(request: IncomingMessage, response: ServerResponse): Promise<IncomingMessage> {
    const { hostname, port } = this.target
    const { method, url: path, headers } = request
    const proxied = httpRequest({ hostname, port, method, path, headers: withoutHopByHop(headers), agent: this.#agent })
    // A server that responds before the end of the request body may refuse the rest.
    proxied.on('error', () => {
      if (response.headersSent) request.resume()
    })
    // An interrupted response must not end cleanly at the server. After the exchange, the socket may serve the next one.
    response.once('close', () => {
      if (!response.writableFinished) proxied.destroy()
    })
    request.pipe(proxied)
    // An interrupted body must not end cleanly on the other side.
    request.once('aborted', () => proxied.destroy())
    const [upstream] = (await once(proxied, 'response')) as [IncomingMessage]
    response.writeHead(upstream.statusCode ?? 502, upstream.statusMessage, withoutHopByHop(upstream.headers))
    response.flushHeaders()
    return upstream
  }
}

/** Removes hop-by-hop headers, except for those that frame the body, which are under test. */
function withoutHopByHop({ connection, 'keep-alive': keepAlive, ...headers }: IncomingMessage['headers']) {
  return headers
}
