import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { FakeWebSocket } from '../web-socket.ts'
import type { GraphCall } from './call.ts'
import type { FakeGraphDrive } from './drive.ts'
import { GraphFailure, type GraphError } from './failure.ts'

const NAMESPACE = '/notifications'

/** Notifications of drives through Socket.IO 5 on Engine.IO 4, by the requests of Microsoft's documented client. */
export class FakeGraphNotifications {
  /** The response to all requests for a notification URL. */
  refusal: GraphError | undefined
  /** Replaces the notification URL. */
  url: unknown
  /** The open sockets, the newest last. */
  readonly sockets: FakeWebSocket[] = []
  /** Called with each new socket, before the first packet. Returns true to leave the rest to the test. */
  script: (socket: FakeWebSocket) => boolean = () => false
  readonly #origin: () => string
  readonly #mistakes: string[]
  readonly #drives = new Map<string, FakeGraphDrive>()
  readonly #listening = new Map<FakeWebSocket, FakeGraphDrive>()

  constructor(origin: () => string, mistakes: string[]) {
    this.#origin = origin
    this.#mistakes = mistakes
  }

  /** Handles `GET …/root/subscriptions/socketIo`. */
  send(call: GraphCall): void {
    if (this.refusal !== undefined) throw new GraphFailure(this.refusal)
    const token = randomUUID()
    this.#drives.set(token, call.view.drive(call.route))
    call.send({
      id: randomUUID(),
      notificationUrl: this.url ?? `${this.#origin()}${NAMESPACE}?token=${token}`,
      expirationDateTime: new Date(Date.now() + 3_600_000).toISOString()
    })
  }

  /** Notifies the subscribers of a drive. */
  announce(drive: FakeGraphDrive): void {
    const event = JSON.stringify([
      'notification',
      { value: [{ subscriptionId: randomUUID(), resource: 'me/drive/root' }] }
    ])
    for (const [socket, watched] of this.#listening) if (watched === drive) socket.send(`42${NAMESPACE},${event}`)
  }

  serve(message: IncomingMessage, duplex: Duplex, head: Buffer): void {
    const { pathname, searchParams } = new URL(message.url ?? '', this.#origin())
    const drive = this.#drives.get(searchParams.get('token') ?? '')
    const onMistake = (mistake: string) => this.#mistakes.push(`Socket.IO: ${mistake}`)
    const isEngine = searchParams.get('EIO') === '4' && searchParams.get('transport') === 'websocket'
    if (pathname !== '/socket.io/' || !isEngine || drive === undefined) onMistake(`the URL ${message.url}`)
    const socket = new FakeWebSocket(message, duplex, head, onMistake)
    this.sockets.push(socket)
    duplex.once('close', () => {
      this.#listening.delete(socket)
      this.sockets.splice(this.sockets.indexOf(socket), 1)
    })
    if (this.script(socket)) return
    socket.send(`0${JSON.stringify({ sid: randomUUID(), upgrades: [], pingInterval: 25_000, pingTimeout: 60_000 })}`)
    socket.onText = (text) => {
      if (text === '40') socket.send(`40${JSON.stringify({ sid: randomUUID() })}`)
      else if (text === `40${NAMESPACE},`) {
        socket.send(`40${NAMESPACE},${JSON.stringify({ sid: randomUUID() })}`)
        if (drive !== undefined) this.#listening.set(socket, drive)
      } else if (text !== '3') onMistake(`the packet ${text}`)
    }
  }
}
