import { on, once } from 'node:events'
import type { EgressAgents, WebSocketConnection, WebSocketRequest } from '../core/egress.ts'
import { Diagnosis, providerFailure, type StorageError } from '../errors.ts'

/** Of all frames of one connection, which lasts for minutes: more of them say nothing new. */
const MAX_RECEIVED_BYTES = 1024 * 1024
/** Added for each frame: about the memory of a message that waits for the reader. */
const FRAME_BYTES = 256

const OPTIONS = {
  followRedirects: false,
  perMessageDeflate: false,
  maxPayload: 64 * 1024,
  maxFragments: 1_024,
  maxBufferedChunks: 1_024,
  /** The time in which a server that has sent its close frame must close the connection. The types lack it. */
  closeTimeout: 1_000,
  /** Off: it ends a connection without an error. The limit of bytes applies to pings. The types lack it too. */
  maxPendingAutoPongs: 0
}

interface WebSocketOptions extends WebSocketRequest {
  readonly agents: EgressAgents
  readonly userAgent: string
  /** The time limit until the connection is open, in milliseconds. */
  readonly openMs: number
  readonly toError: (error: unknown) => Error
  /** Holds a function that ends the connection while there is one. */
  readonly open: Set<(reason: Error) => void>
}

/** Connects the client of `ws` through the guarded agents. @throws StorageError, or the signal's reason */
export async function openWebSocket(options: WebSocketOptions): Promise<WebSocketConnection> {
  const { url, signal, idleMs, agents, userAgent, openMs, toError, open } = options
  const { WebSocket } = await import('ws')
  signal.throwIfAborted()
  const target = new URL(url)
  target.hash = ''
  const socket = new WebSocket(target, {
    ...OPTIONS,
    agent: url.protocol === 'https:' ? agents.https : agents.http,
    headers: { 'user-agent': userAgent }
  })
  const ended = new AbortController()
  // The first reason counts. `terminate` does not wait for the server.
  const end = (reason: unknown): void => {
    ended.abort(reason)
    socket.terminate()
  }
  const onAbort = (): void => {
    end(signal.reason)
  }
  const onError = (error: unknown): void => {
    end(toError(error))
  }
  const onTimeout = (): void => {
    onError(providerFailure('PROVIDER_TIMEOUT'))
  }
  const fail = (error: unknown): never => {
    ended.signal.throwIfAborted()
    throw error
  }
  let timer = setTimeout(onTimeout, openMs)
  let receivedBytes = 0
  const onFrame = (data: Buffer): void => {
    timer.refresh()
    receivedBytes += FRAME_BYTES + data.length
    if (receivedBytes > MAX_RECEIVED_BYTES) onError(invalid('too many bytes'))
  }
  socket.on('message', onFrame).on('ping', onFrame).on('pong', onFrame)
  socket.on('error', onError)
  socket.once('open', () => {
    clearTimeout(timer)
    timer = setTimeout(onTimeout, idleMs)
  })
  socket.once('close', () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
    open.delete(end)
  })
  signal.addEventListener('abort', onAbort, { once: true })
  open.add(end)
  // Before the connection is open: the first message may come with the head of the response.
  const events = on(socket, 'message', { signal: ended.signal, close: ['close'] }) as AsyncIterable<[Buffer, boolean]>

  async function* read(): AsyncGenerator<string, void, void> {
    try {
      for await (const [data, isBinary] of events) {
        if (isBinary) throw toError(invalid('a binary message'))
        yield data.toString()
      }
    } catch (error) {
      fail(error)
    } finally {
      socket.terminate()
    }
  }

  await once(socket, 'open', { signal: ended.signal }).catch(fail)
  return {
    messages: read(),
    send: (text) => {
      socket.send(text)
    },
    close: () => {
      socket.terminate()
    }
  }
}

function invalid(what: string): StorageError {
  return providerFailure('PROVIDER_ERROR', { cause: new Diagnosis(`The server sent ${what} through a WebSocket`) })
}
