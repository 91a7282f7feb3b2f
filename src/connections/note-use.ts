import { LRUCache } from 'lru-cache'
import type { Connection } from '../domain/connection.ts'
import { Moment } from '../domain/moment.ts'
import type { Clock, ConnectionStore } from '../domain/ports.ts'

/** Precision of `lastUsedAt`. It limits writes for connections in constant use. */
const STEP_MS = 3_600_000
const MAX_NOTED = 10_000

export interface NoteUsePorts {
  readonly connections: Pick<ConnectionStore, 'noteUse'>
  readonly clock: Clock
  readonly onFailure: (error: unknown) => void
}

/** Records a use of a connection, in the background. */
export type NoteUse = (connection: Pick<Connection, 'userId' | 'id'>) => void

export function createNoteUse({ connections, clock, onFailure }: NoteUsePorts): NoteUse {
  const noted = new LRUCache<string, Moment>({ max: MAX_NOTED })
  return ({ userId, id }) => {
    const last = noted.get(id)
    if (last !== undefined && last.ageMs(clock) < STEP_MS) return
    noted.set(id, new Moment(clock))
    connections.noteUse(userId, id, STEP_MS).catch(onFailure)
  }
}
