import type { Entry, ShortcutTarget } from '../../domain/entry.ts'
import { isStorageError, type StorageErrorCode } from '../../domain/errors.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { parseId } from './ids.ts'
import type { DriveServer } from './server.ts'

/** So many targets of one page are looked at, and so many at once; of the others nothing is said. */
const MAX_TARGETS = 100
const AT_ONCE = 6
/** How much of the time of a whole call the looking may take. */
const SHARE_OF_TIME = 1 / 3

const ENDS_LOOKING: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>([
  'PROVIDER_THROTTLED',
  'PROVIDER_TIMEOUT'
])

/** The looking at the targets of one page. Aborted, it begins no look any more, and ends those under way. */
interface Looking extends Call {
  readonly end: () => void
}

/**
 * The entries, with what became of the targets of shortcuts: a listing tells where they lead, and not whether there
 * is anything. A target that is a shortcut is not followed. What Google does not say in time stays `unknown`: it must
 * not cost the page.
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
    controller.abort(new Error('There is no time left to look at shortcuts.'))
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

/** Where Google throttles, or does not answer in time, this is the last look of its page. */
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
