import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { answerLongPoll } from '../long-poll.ts'
import type { BoxCall } from './call.ts'
import { BoxFailure, BoxMistake, invalidParameter } from './failure.ts'
import { BoxFields } from './fields.ts'
import type { FakeBoxKnobs } from './knobs.ts'
import type { FakeBoxNode } from './node.ts'
import { boxTime, itemResource, miniResource } from './resource.ts'

/** Positions are beyond 2^53: as numbers of JavaScript, neighbours are equal. */
const FIRST_POSITION = 1_152_922_976_252_290_886n
const STEP = 3n
const MAX_LIMIT = 500
const DEFAULT_LIMIT = 100
const STREAM_TYPES = ['all', 'changes', 'sync']

interface BoxEvent {
  readonly id: string
  readonly type: string
  /** The item at the time of the event; undefined if the event has no source. */
  readonly node: FakeBoxNode | undefined
  readonly time: Date
}

/** The events of the user. Their order has no meaning, they may be repeated, and old ones disappear. */
export class FakeBoxEvents {
  readonly #knobs: FakeBoxKnobs
  readonly #now: () => Date
  readonly #events: BoxEvent[] = []
  /** The number of events when a channel was created, by channel. */
  readonly #channels = new Map<string, number>()
  /** The number of pages after the last event, each of which has a position of its own. */
  #extraPages = 0n
  /** Positions of earlier events are invalid. */
  #lostEvents = 0

  constructor(knobs: FakeBoxKnobs, now: () => Date) {
    this.#knobs = knobs
    this.#now = now
  }

  /** Adds an event. @param node omitted for an event without a source */
  record(type: string, node?: FakeBoxNode): void {
    const id = randomBytes(20).toString('hex')
    this.#events.push({ id, type, node: node && { ...node }, time: this.#now() })
  }

  /** Makes all positions invalid that were returned so far. */
  losePositions(): void {
    this.record('ITEM_PREVIEW')
    this.#lostEvents = this.#events.length
  }

  /** Handles `GET /events`. */
  send(call: BoxCall): void {
    const type = call.text('stream_type') ?? 'all'
    if (!STREAM_TYPES.includes(type)) throw new BoxMistake(`stream_type=${type}`)
    const limit = call.integer('limit', 1, MAX_LIMIT, DEFAULT_LIMIT)
    const position = call.text('stream_position') ?? '0'
    const end = this.#visibleCount()
    if (position === 'now') {
      this.#sendPage(call, [], FIRST_POSITION + STEP * BigInt(end))
      return
    }
    const start = this.#indexOf(position)
    const { eventPageLimit, eventLifetimeMs, repeatedEvents, repeatsLastEvents } = this.#knobs
    const next = Math.max(start, Math.min(end, start + Math.min(limit, eventPageLimit)))
    const hasNew = next > start
    if (!hasNew) this.#extraPages += repeatsLastEvents ? 1n : 0n
    const repeated = hasNew ? repeatedEvents : repeatsLastEvents ? limit : repeatedEvents
    const oldest = this.#now().getTime() - eventLifetimeMs
    const events = this.#events
      .slice(Math.max(0, start - Math.min(repeated, limit - (next - start))), next)
      .filter(({ time }) => time.getTime() >= oldest)
    // Less than a step, so that the next request starts at the same event.
    const extra = hasNew ? 0n : this.#extraPages % STEP
    this.#sendPage(call, events.reverse(), FIRST_POSITION + STEP * BigInt(next) + extra)
  }

  /** Handles `OPTIONS /events`: each response has a channel of its own, which announces the events from then on. */
  sendServers(call: BoxCall, origin: string): void {
    const channel = randomBytes(10).toString('hex')
    this.#channels.set(channel, this.#visibleCount())
    const { maxRetries: max_retries, longPollUrl: url = `${origin}/subscribe?channel=${channel}&stream_type=all` } =
      this.#knobs
    call.send(200, {
      chunk_size: 1,
      entries: [{ type: 'realtime_server', url, ttl: '10', max_retries, retry_timeout: 610 }]
    })
  }

  /** Handles a long poll, which needs no token. */
  longPoll({ query }: FakeCloudRequest, response: ServerResponse): void {
    const start = this.#channels.get(query.get('channel') ?? '')
    if (start === undefined || query.get('stream_type') !== 'all') throw new BoxMistake('a channel that there is not')
    answerLongPoll(response, {
      poll: () => (this.#visibleCount() > start ? { message: 'new_change' } : undefined),
      timeoutMs: this.#knobs.longPollMs,
      atEnd: { message: 'reconnect' }
    })
  }

  /** Returns the index of the first event from a position on. */
  #indexOf(position: string): number {
    const isNumber = /^\d{1,19}$/.test(position)
    const isLost = isNumber && BigInt(position) < FIRST_POSITION + STEP * BigInt(this.#lostEvents)
    if (!isNumber || (position !== '0' && isLost)) {
      const message = `Invalid value '${position}'.`
      throw new BoxFailure({ code: 'bad_request', contextInfo: invalidParameter('stream_position', message) })
    }
    const index = (BigInt(position) - FIRST_POSITION) / STEP
    const isKnown = position === '0' || (index >= 0n && index <= BigInt(this.#events.length))
    if (!isKnown) throw new BoxMistake(`stream_position=${position}, which was never issued`)
    return position === '0' ? 0 : Number(index)
  }

  #visibleCount(): number {
    const end = this.#now().getTime() - this.#knobs.eventLagMs
    return this.#events.findLastIndex(({ time }) => time.getTime() <= end) + 1
  }

  #sendPage(call: BoxCall, events: readonly BoxEvent[], next: bigint): void {
    const entries = events.map((event) => eventResource(call, event, this.#knobs.eventSource))
    const { positionType } = this.#knobs
    // JSON.stringify cannot write the number.
    const page = JSON.stringify({ chunk_size: entries.length, next_stream_position: '?', entries })
    call.sendJson(200, page.replace('"?"', positionType === 'number' ? String(next) : `"${next}"`))
  }
}

function eventResource(call: BoxCall, { id, type, node, time }: BoxEvent, form: FakeBoxKnobs['eventSource']) {
  return {
    type: 'event',
    event_id: id,
    created_by: call.person,
    created_at: boxTime(time),
    recorded_at: boxTime(time),
    event_type: type,
    session_id: null,
    source: node === undefined ? null : form === 'item' ? itemSource(call, node) : eventSource(call, node)
  }
}

function itemSource(call: BoxCall, node: FakeBoxNode): object {
  const names = new Set(new BoxFields(null, [node.type]).namesFor(node.type, 'standard'))
  names.delete('parent')
  // The item may be gone, and a folder's size is that of its content.
  if (node.type === 'folder') names.delete('size')
  const status = node.trashed === undefined ? 'active' : 'trashed'
  return {
    ...itemResource(node, call.tree, call.person, names),
    parent: parentOf(call, node),
    item_status: status
  }
}

function eventSource(call: BoxCall, node: FakeBoxNode): object {
  const { type, id, name } = node
  return { item_type: type, item_id: id, item_name: name, parent: parentOf(call, node), owned_by: call.person }
}

/** The folder that contains the item now. For an item in the trash, it is none. */
function parentOf({ tree }: BoxCall, { parent, trashed }: FakeBoxNode): object | null {
  const folder = parent === undefined ? undefined : tree.find(parent, 'folder')
  if (trashed !== undefined) return { type: 'folder', id: '1', sequence_id: null, etag: null, name: 'Trash' }
  return folder === undefined ? null : miniResource(folder)
}
