/** One event of a stream of Server-Sent Events. `type` is `message` if the server names none. */
export interface ServerSentEvent {
  readonly type: string
  readonly data: string
}

/** The longest line, and the longest data of one event, in UTF-16 units. */
const MAX_LENGTH = 65_536

/**
 * Parses a stream of Server-Sent Events, in time and memory that are linear in its length. A comment is an event of the
 * type `comment`. Events that the stream does not complete are dropped, as the standard demands.
 * @throws RangeError if a line or an event is longer than 65,536 characters
 */
export async function* parseEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  let type = ''
  let data: string[] = []
  let dataLength = 0
  for await (const line of linesOf(chunks)) {
    if (line === '') {
      if (data.length > 0) yield { type: type === '' ? 'message' : type, data: data.join('\n') }
      type = ''
      data = []
      dataLength = 0
      continue
    }
    const colon = line.indexOf(':')
    if (colon === 0) {
      yield { type: 'comment', data: line.slice(1) }
      continue
    }
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'event') type = value
    if (field !== 'data') continue
    dataLength += value.length + 1
    if (dataLength > MAX_LENGTH) throw new RangeError('An event of the stream is too long.')
    data.push(value)
  }
}

/** Splits at LF, CR and CRLF. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  // Drops a byte order mark at the beginning.
  const decoder = new TextDecoder()
  let rest = ''
  let endedByCr = false
  for await (const chunk of chunks) {
    const decoded = decoder.decode(chunk, { stream: true })
    const isSecondHalf = endedByCr && decoded.startsWith('\n')
    if (decoded !== '') endedByCr = decoded.endsWith('\r')
    const [first = '', ...others] = decoded.slice(isSecondHalf ? 1 : 0).split(/\r\n?|\n/)
    const lines = [rest + first, ...others]
    if (lines.some(({ length }) => length > MAX_LENGTH)) throw new RangeError('A line of the stream is too long.')
    rest = lines.pop() ?? ''
    yield* lines
  }
}

/** What a stream of a watched connection reports. */
export type FolderEvent =
  /** The stream has begun. Changes from now on are reported, so read the folders again. */
  | { readonly type: 'open' }
  /** Sent at least every 25 seconds or so. A stream that is silent for longer is broken. */
  | { readonly type: 'keep-alive' }
  /** The folder may have changed. `folder` is the text that the request contained. */
  | { readonly type: 'changed'; readonly provider: string; readonly connectionId: string; readonly folder: string }

/** Reads the events of a response. Unknown events are ignored. Cancels the body when the consumer stops. */
export async function* folderEvents(body: ReadableStream<Uint8Array> | null): AsyncGenerator<FolderEvent> {
  try {
    yield { type: 'open' }
    if (body === null) return
    for await (const { type, data } of parseEvents(chunksOf(body))) {
      if (type === 'comment') yield { type: 'keep-alive' }
      if (type !== 'changed') continue
      const change = parseChange(data)
      if (change !== null) yield change
    }
  } finally {
    // A stream that has failed rejects with its own error again.
    await body?.cancel().catch(() => undefined)
  }
}

function parseChange(data: string): FolderEvent | null {
  try {
    const { provider, connectionId, folder } = JSON.parse(data) as Record<string, unknown>
    const isValid = typeof provider === 'string' && typeof connectionId === 'string' && typeof folder === 'string'
    return isValid ? { type: 'changed', provider, connectionId, folder } : null
  } catch {
    return null
  }
}

/** Safari does not iterate streams. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader()
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value
  } finally {
    reader.releaseLock()
  }
}
