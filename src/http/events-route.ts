import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Timers } from '../core/time.ts'
import type { InFlightLimit } from '../core/user-limits.ts'
import type { FolderWatches } from '../events/folder-watches.ts'
import { userOf } from './authentication.ts'
import { setPrivateHeaders } from './headers.ts'
import { acquirePermit, onResponseClosed } from './in-flight.ts'
import type { DescribeRoute } from './openapi/describe.ts'
import { type EventsQuery, eventsQuerySchema } from './schemas.ts'

/** Shorter than the idle timeouts of proxies, of which 60 seconds is the most common. */
const HEARTBEAT_MS = 25_000
/** A client is authenticated again after about this time. */
const LIFETIME_MS = 900_000
/** Bytes that may wait for a slow client. It re-reads its folders when it connects again. */
const MAX_UNSENT_BYTES = 16_384

export interface EventsRouteDeps {
  readonly events: {
    readonly watches: Pick<FolderWatches, 'select' | 'begin'>
    /** The limit of streams per user. */
    readonly limit: InFlightLimit
    readonly timers: Timers
    readonly random: () => number
  }
}

type EventsRequest = FastifyRequest<{ Querystring: EventsQuery }>

/** The open streams of each server. */
const openStreams = new WeakMap<object, Set<EventStream>>()

/** Ends all streams of a server, for a shutdown that waits for the requests in flight. */
export function endEventStreams({ server }: FastifyInstance): void {
  for (const stream of [...(openStreams.get(server) ?? [])]) stream.end()
}

export function eventsRoute(app: FastifyInstance, { events }: EventsRouteDeps, describe: DescribeRoute): void {
  const { watches, limit } = events
  const streams = openStreams.get(app.server) ?? new Set()
  openStreams.set(app.server, streams)

  app.get(
    '/events',
    {
      // Of @fastify/compress, which would hold events back.
      ...{ compress: false },
      schema: describe('watchFolders', { querystring: eventsQuerySchema }),
      exposeHeadRoute: true,
      preValidation: (request: EventsRequest, _reply, done) => {
        const query = request.query as { folder?: unknown }
        if (typeof query.folder === 'string') query.folder = [query.folder]
        done()
      }
    },
    async (request: EventsRequest, reply) => {
      const userId = userOf(request)
      const isHead = request.method === 'HEAD'
      // Held from here on, so that concurrent requests count.
      if (!isHead) acquirePermit(reply, limit, userId)
      const { connection: connectionId, folder: folders } = request.query
      const target = await watches.select({ userId, connectionId, folders })
      if (isHead) return setHeaders(reply, request).send()

      const stream = new EventStream(reply, events)
      const { provider } = target.connection
      const stop = watches.begin(target, {
        onChanged: (folder) => {
          stream.write(`event: changed\ndata: ${JSON.stringify({ provider, connectionId, folder })}\n\n`)
        },
        onEnded: () => {
          stream.end()
        }
      })
      streams.add(stream)
      onResponseClosed(reply, () => {
        streams.delete(stream)
        stream.end()
        stop()
      })
      stream.begin()
      return setHeaders(reply, request).send(stream.body)
    }
  )
}

function setHeaders(reply: FastifyReply, request: FastifyRequest): FastifyReply {
  setPrivateHeaders(reply)
    .type('text/event-stream')
    .header('cache-control', 'private, no-store, no-transform')
    .header('x-accel-buffering', 'no')
  // A server that is closing must not wait until the connection of an ended stream is idle for long enough.
  if (request.raw.httpVersionMajor === 1 && request.method !== 'HEAD') reply.header('connection', 'close')
  return reply
}

/** The body of one response. */
class EventStream {
  readonly body = new Readable({ read: () => {} })
  readonly #reply: FastifyReply
  readonly #timers: Timers
  readonly #random: () => number
  #cancelHeartbeat: (() => void) | undefined
  #cancelLifetime: (() => void) | undefined
  #isEnded = false

  constructor(reply: FastifyReply, { timers, random }: EventsRouteDeps['events']) {
    this.#reply = reply
    this.#timers = timers
    this.#random = random
  }

  /** Sends a comment, so that the headers arrive at once. */
  begin(): void {
    if (this.#isEnded) return
    this.write(': watching\n\n')
    this.#scheduleHeartbeat()
    this.#cancelLifetime = this.#timers.after(LIFETIME_MS * (0.9 + this.#random() / 5), () => {
      this.end()
    })
  }

  write(text: string): void {
    if (this.#isEnded) return
    this.body.push(text)
    const { raw } = this.#reply
    if (this.body.readableLength + raw.writableLength <= MAX_UNSENT_BYTES) return
    this.end()
    // The rest could not be sent.
    raw.destroy()
  }

  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#cancelHeartbeat?.()
    this.#cancelLifetime?.()
    this.body.push(null)
  }

  #scheduleHeartbeat(): void {
    this.#cancelHeartbeat = this.#timers.after(HEARTBEAT_MS, () => {
      this.write(': keep-alive\n\n')
      if (!this.#isEnded) this.#scheduleHeartbeat()
    })
  }
}
