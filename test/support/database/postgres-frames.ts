/** One byte of type, and an int32 length that includes itself and the body. */
const HEADER_BYTES = 5

const NOTIFICATION_RESPONSE = 'A'.charCodeAt(0)

export interface PostgresNotification {
  readonly channel: string
  readonly payload: string
}

/**
 * Splits the output of a PostgreSQL server into frames (protocol 3), independently of chunk boundaries. Does not
 * support TLS: the reply to an SSLRequest is not a frame.
 */
export class PostgresFrames {
  #buffered: Buffer[] = []
  #bufferedBytes = 0
  #neededBytes = HEADER_BYTES

  /** Returns the frames that this chunk completes, with their headers. Throws if the data is not a valid frame. */
  push(chunk: Buffer): Buffer[] {
    this.#buffered.push(chunk)
    this.#bufferedBytes += chunk.length
    // Concatenate a long frame once, not at each of its chunks.
    if (this.#bufferedBytes < this.#neededBytes) return []
    let rest = Buffer.concat(this.#buffered)
    const frames: Buffer[] = []
    for (;;) {
      this.#neededBytes = rest.length < HEADER_BYTES ? HEADER_BYTES : frameLength(rest)
      if (rest.length < this.#neededBytes) break
      frames.push(rest.subarray(0, this.#neededBytes))
      rest = rest.subarray(this.#neededBytes)
    }
    this.#buffered = [rest]
    this.#bufferedBytes = rest.length
    return frames
  }
}

/** Parses a NotificationResponse. Returns `undefined` for other frames. */
export function readNotification(frame: Buffer): PostgresNotification | undefined {
  if (frame[0] !== NOTIFICATION_RESPONSE) return undefined
  // The first four bytes of the body are the PID of the notifying process.
  const channelAt = HEADER_BYTES + 4
  const channelEnd = frame.indexOf(0, channelAt)
  const payloadEnd = frame.indexOf(0, channelEnd + 1)
  return {
    channel: frame.toString('utf8', channelAt, channelEnd),
    payload: frame.toString('utf8', channelEnd + 1, payloadEnd)
  }
}

function frameLength(frame: Buffer): number {
  const length = frame.readInt32BE(1)
  if (length < HEADER_BYTES - 1) throw new Error(`No frame of PostgreSQL has the length ${length}`)
  return 1 + length
}
