import type { Entry, ShortcutTarget } from '../../core/entry.ts'
import { isStorageError, type StorageErrorCode } from '../../errors.ts'
import type { Call } from '../../core/backend.ts'
import { parseId } from './entries.ts'
import type { DriveServer } from './session.ts'

/** Targets checked per page, and concurrent checks. The state of further targets is `unknown`. */
const MAX_TARGETS = 100
const AT_ONCE = 6
/** The share of a call's total time that the checks may take. */
const SHARE_OF_TIME = 1 / 3

const ENDS_LOOKING: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>([
  'PROVIDER_THROTTLED',
  'PROVIDER_TIMEOUT'
])

/** The checks of one page. When aborted, no further check starts and running ones end. */
interface Looking extends Call {
  readonly end: () => void
}

/**
 * Adds the states of shortcut targets to entries. A listing contains the target's id, but not whether it exists.
 * Shortcuts to shortcuts are not followed. A state that is not determined in time is `unknown`, so that the page does
 * not fail.
 */
export async function withTargets(
  server: DriveServer,
  entries: readonly Entry[],
  call: Call
): Promise<readonly Entry[]> {
  const shortcuts = entries.filter(({ target }) => typeof target?.id === 'string').slice(0, MAX_TARGETS)
  if (shortcuts.length === 0) return entries
  const { default: pLimit } = await import('p-limit')
  const inTurn = pLimit(AT_ONCE)
  const states = new Map<Entry, ShortcutTarget['state']>()
  await withinShare(server.timeouts.totalMs * SHARE_OF_TIME, call, (looking) =>
    Promise.all(
      shortcuts.map((entry) =>
        inTurn(async () => {
          if (!looking.signal.aborted) states.set(entry, await stateOf(server, entry.target?.id ?? '', looking))
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

async function withinShare(
  shareMs: number,
  { signal }: Call,
  look: (looking: Looking) => Promise<unknown>
): Promise<void> {
  const controller = new AbortController()
  const end = (): void => {
    controller.abort(new Error('The lookup of shortcut targets was stopped.'))
  }
  const timer = setTimeout(end, shareMs)
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  try {
    await look({ signal: controller.signal, end })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  }
}

/** Returns the state of a target. Stops all checks of the page if Google throttles or times out. */
async function stateOf(
  { client }: DriveServer,
  targetId: string,
  { signal, end }: Looking
): Promise<ShortcutTarget['state']> {
  try {
    const about = parseId(targetId, 'OBJECT_NOT_FOUND')
    const parameters = { fileId: about.id, supportsAllDrives: true, fields: 'trashed' }
    const told = await client.ask({ signal, missing: 'OBJECT_NOT_FOUND', about }, (drive, options) =>
      drive.files.get(parameters, options)
    )
    if ('data' in told) return told.data.trashed === true ? 'dangling' : 'ok'
    const { code } = told.refusal
    if (code === 'OBJECT_NOT_FOUND') return 'dangling'
    if (ENDS_LOOKING.has(code)) end()
    return told.status === 403 && (code === 'ACCESS_DENIED' || code === 'INSUFFICIENT_SCOPE') ? 'denied' : 'unknown'
  } catch (error) {
    if (isStorageError(error) && ENDS_LOOKING.has(error.code)) end()
    return 'unknown'
  }
}
