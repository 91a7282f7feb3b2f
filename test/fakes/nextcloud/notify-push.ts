import type { FakeDav } from '../dav/fake-dav.ts'
import { FakeWebSocket } from '../web-socket.ts'

/** The app `notify_push`, by its DEVELOPING.md and its source. */
export class FakeNotifyPush {
  isInstalled = false
  /** Replaces the endpoint in the capabilities. */
  endpoint: unknown
  /** The open sockets, by the newest last. */
  readonly sockets: FakeWebSocket[] = []
  /** The server collects changes for so long. */
  debounceMs = 5
  /** Called with each new socket, before the login. Returns true to leave the rest to the test. */
  script: (socket: FakeWebSocket) => boolean = () => false
  readonly #accepts: (username: string, password: string) => boolean
  readonly #listening = new Set<FakeWebSocket>()

  constructor(accepts: (username: string, password: string) => boolean) {
    this.#accepts = accepts
  }

  /** Serves the WebSocket, and announces all changes of the files. */
  attach(dav: FakeDav, mountPath: string): void {
    dav.onUpgrade = (message, socket, head) => {
      const onMistake = (mistake: string) => dav.mistakes.push(`notify_push: ${mistake}`)
      if (!this.isInstalled || message.url !== `${mountPath}/push/ws`) {
        socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
        return
      }
      this.#serve(new FakeWebSocket(message, socket, head, onMistake), onMistake)
    }
  }

  capability(url: string): object {
    if (!this.isInstalled) return {}
    const websocket = this.endpoint ?? `${url.replace(/^http/, 'ws')}/push/ws`
    return { notify_push: { type: ['files', 'activities', 'notifications'], endpoints: { websocket } } }
  }

  /** Announces a change after the debounce. */
  announce(message: string): void {
    setTimeout(() => {
      for (const socket of this.#listening) socket.send(message)
    }, this.debounceMs)
  }

  #serve(socket: FakeWebSocket, onMistake: (mistake: string) => void): void {
    this.sockets.push(socket)
    socket.socket.once('close', () => {
      this.#listening.delete(socket)
      this.sockets.splice(this.sockets.indexOf(socket), 1)
    })
    if (this.script(socket)) return
    socket.onText = (text) => {
      const [username = '', password] = socket.received
      if (socket.received.length > 3) onMistake(`the message ${text}`)
      if (socket.received.length === 3) {
        if (text !== 'listen notify_file_id') onMistake(`the message ${text}`)
        this.#listening.add(socket)
      }
      if (socket.received.length !== 2) return
      if (this.#accepts(username, password ?? '')) socket.send('authenticated')
      else {
        socket.send('err: Invalid credentials')
        socket.close()
      }
    }
  }
}
