import type { Call } from '../../core/backend.ts'
import type { Entry, ShortcutTarget } from '../../core/entry.ts'
import { Deadline } from '../../core/time.ts'
import { isStorageError, type StorageErrorCode } from '../../errors.ts'
import { parseId } from './entries.ts'
import type { DriveSession } from './session.ts'

/** Targets checked per page, and concurrent checks. The state of further targets is `unknown`. */
const MAX_TARGETS = 100
const CONCURRENCY = 6
/** The share of a call's total time that the checks may take. */
const TIME_SHARE = 1 / 3

const STOP_CODES: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>(['PROVIDER_THROTTLED', 'PROVIDER_TIMEOUT'])

/**
 * Adds the states of shortcut targets to entries. A listing contains the target's id, but not whether it exists.
 * Shortcuts to shortcuts are not followed. A state that is not determined in time is `unknown`, so that the page does
 * not fail.
 */
export async function withTargetStates(
  session: DriveSession,
  entries: readonly Entry[],
  call: Call
): Promise<readonly Entry[]> {
  const shortcuts = entries.filter(({ target }) => typeof target?.id === 'string').slice(0, MAX_TARGETS)
  if (shortcuts.length === 0) return entries
  const { default: pLimit } = await import('p-limit')
  const limit = pLimit(CONCURRENCY)
  const states = new Map<Entry, ShortcutTarget['state']>()
  // When it aborts, no further check starts and running ones end.
  const deadline = new Deadline(session.timeouts.totalMs * TIME_SHARE, call.signal, lookupStopped)
  const check = async (entry: Entry): Promise<void> => {
    if (deadline.signal.aborted) return
    states.set(entry, await getTargetState(session, entry.target?.id ?? '', deadline))
  }
  try {
    await Promise.all(shortcuts.map((entry) => limit(check, entry)))
  } finally {
    deadline.clear()
  }
  call.signal.throwIfAborted()
  return entries.map((entry) => {
    const state = states.get(entry)
    return state === undefined || entry.target === null ? entry : { ...entry, target: { ...entry.target, state } }
  })
}

function lookupStopped(): Error {
  return new Error('The lookup of shortcut targets was stopped.')
}

/** Returns the state of a target. Stops all checks of the page if Google throttles or times out. */
async function getTargetState(
  { client }: DriveSession,
  targetId: string,
  deadline: Deadline
): Promise<ShortcutTarget['state']> {
  try {
    const itemId = parseId(targetId, 'OBJECT_NOT_FOUND')
    const parameters = { fileId: itemId.id, supportsAllDrives: true, fields: 'trashed' }
    const response = await client.tryCall(
      { signal: deadline.signal, missing: 'OBJECT_NOT_FOUND', itemId },
      (drive, options) => drive.files.get(parameters, options)
    )
    if ('data' in response) return response.data.trashed === true ? 'dangling' : 'ok'
    const { code } = response.error
    if (code === 'OBJECT_NOT_FOUND') return 'dangling'
    if (STOP_CODES.has(code)) deadline.abort(lookupStopped())
    return response.status === 403 && (code === 'ACCESS_DENIED' || code === 'INSUFFICIENT_SCOPE') ? 'denied' : 'unknown'
  } catch (error) {
    if (isStorageError(error) && STOP_CODES.has(error.code)) deadline.abort(lookupStopped())
    return 'unknown'
  }
}
