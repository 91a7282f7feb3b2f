/** A type of one byte, and an int32 that counts itself and the body. */
const HEADER_BYTES = 5

const NOTIFICATION_RESPONSE = 'A'.charCodeAt(0)

export interface PostgresNotification {
  readonly channel: string
  readonly payload: string
}

/**
 * Cuts what a PostgreSQL server says into frames (protocol 3), whatever pieces it comes in. Not for connections with
 * TLS: the answer to the question for it is no frame.
 */
export class PostgresFrames {
  #held: Buffer[] = []
  #heldBytes = 0
  #neededBytes = HEADER_BYTES

  /** The frames that are whole with this chunk, each with its header. Throws at what cannot be a frame. */
  push(chunk: Buffer): Buffer[] {
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    // A long frame is put together once, not at each of its chunks.
    if (this.#heldBytes < this.#neededBytes) return []
    let rest = Buffer.concat(this.#held)
    const frames: Buffer[] = []
    for (;;) {
      this.#neededBytes = rest.length < HEADER_BYTES ? HEADER_BYTES : frameBytes(rest)
      if (rest.length < this.#neededBytes) break
      frames.push(rest.subarray(0, this.#neededBytes))
      rest = rest.subarray(this.#neededBytes)
    }
    this.#held = [rest]
    this.#heldBytes = rest.length
    return frames
  }
}

/** What a NotificationResponse says; of any other frame `undefined`. */
export function readNotification(frame: Buffer): PostgresNotification | undefined {
  if (frame[0] !== NOTIFICATION_RESPONSE) return undefined
  // The first four bytes of the body are the process of who notifies.
  const channelAt = HEADER_BYTES + 4
  const channelEnd = frame.indexOf(0, channelAt)
  const payloadEnd = frame.indexOf(0, channelEnd + 1)
  return {
    channel: frame.toString('utf8', channelAt, channelEnd),
    payload: frame.toString('utf8', channelEnd + 1, payloadEnd)
  }
}

function frameBytes(frame: Buffer): number {
  const length = frame.readInt32BE(1)
  if (length < HEADER_BYTES - 1) throw new Error(`No frame of PostgreSQL has the length ${length}`)
  return 1 + length
}
