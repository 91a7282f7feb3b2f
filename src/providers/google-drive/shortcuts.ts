import type { Call } from '../../core/backend.ts'
import type { Entry, ShortcutTarget } from '../../core/entry.ts'
import { isStorageError, type StorageErrorCode } from '../../errors.ts'
import { parseId } from './entries.ts'
import type { DriveSession } from './session.ts'

/** Targets checked per page, and concurrent checks. The state of further targets is `unknown`. */
const MAX_TARGETS = 100
const CONCURRENCY = 6
/** The share of a call's total time that the checks may take. */
const TIME_SHARE = 1 / 3

const STOP_CODES: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>(['PROVIDER_THROTTLED', 'PROVIDER_TIMEOUT'])

/** The checks of one page. When aborted, no further check starts and running ones end. */
interface CheckContext extends Call {
  readonly stop: () => void
}

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
  await runWithin(session.timeouts.totalMs * TIME_SHARE, call, (context) =>
    Promise.all(
      shortcuts.map((entry) =>
        limit(async () => {
          if (!context.signal.aborted) states.set(entry, await getTargetState(session, entry.target?.id ?? '', context))
        })
      )
    )
  )
  call.signal.throwIfAborted()
  return entries.map((entry) => {
    const state = states.get(entry)
    return state === undefined || entry.target === null ? entry : { ...entry, target: { ...entry.target, state } }
  })
}

async function runWithin(
  timeoutMs: number,
  { signal }: Call,
  run: (context: CheckContext) => Promise<unknown>
): Promise<void> {
  const controller = new AbortController()
  const stop = (): void => {
    controller.abort(new Error('The lookup of shortcut targets was stopped.'))
  }
  const timer = setTimeout(stop, timeoutMs)
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    await run({ signal: controller.signal, stop })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

/** Returns the state of a target. Stops all checks of the page if Google throttles or times out. */
async function getTargetState(
  { client }: DriveSession,
  targetId: string,
  { signal, stop }: CheckContext
): Promise<ShortcutTarget['state']> {
  try {
    const itemId = parseId(targetId, 'OBJECT_NOT_FOUND')
    const parameters = { fileId: itemId.id, supportsAllDrives: true, fields: 'trashed' }
    const response = await client.tryCall({ signal, missing: 'OBJECT_NOT_FOUND', itemId }, (drive, options) =>
      drive.files.get(parameters, options)
    )
    if ('data' in response) return response.data.trashed === true ? 'dangling' : 'ok'
    const { code } = response.error
    if (code === 'OBJECT_NOT_FOUND') return 'dangling'
    if (STOP_CODES.has(code)) stop()
    return response.status === 403 && (code === 'ACCESS_DENIED' || code === 'INSUFFICIENT_SCOPE') ? 'denied' : 'unknown'
  } catch (error) {
    if (isStorageError(error) && STOP_CODES.has(error.code)) stop()
    return 'unknown'
  }
}
