import type { Entry, ShortcutTarget } from '../../domain/entry.ts'
import { isStorageError } from '../../domain/errors.ts'
import type { Call } from '../../domain/storage-backend.ts'
import { parseId } from './ids.ts'
import type { DriveServer } from './server.ts'

/** So many targets of one page are looked at, and so many at once; of the others nothing is said. */
const MAX_TARGETS = 100
const AT_ONCE = 6

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
  const look = { isThrottled: false }
  const states = new Map<Entry, ShortcutTarget['state']>()
  await Promise.all(
    shortcuts.map((entry) =>
      inTurn(async () => {
        if (!look.isThrottled) states.set(entry, await stateOf(server, entry.target?.id ?? '', call, look))
      })
    )
  )
  return entries.map((entry) => {
    const state = states.get(entry)
    return state === undefined || entry.target === null ? entry : { ...entry, target: { ...entry.target, state } }
  })
}

/** @param look learns of a throttle: nothing more is asked for this page then */
async function stateOf(
  { client }: DriveServer,
  targetId: string,
  { signal }: Call,
  look: { isThrottled: boolean }
): Promise<ShortcutTarget['state']> {
  try {
    const about = parseId(targetId, 'OBJECT_NOT_FOUND')
    const parameters = { fileId: about.id, supportsAllDrives: true, fields: 'trashed' }
    const told = await client.ask({ signal, missing: 'OBJECT_NOT_FOUND', about }, (drive, options) =>
      drive.files.get(parameters, options)
    )
    if ('data' in told) return told.data.trashed === true ? 'dangling' : 'ok'
    if (isStorageError(told.refusal, 'OBJECT_NOT_FOUND')) return 'dangling'
    if (isStorageError(told.refusal, 'PROVIDER_THROTTLED')) look.isThrottled = true
    const isDenied = told.status === 403 && isStorageError(told.refusal, 'ACCESS_DENIED', 'INSUFFICIENT_SCOPE')
    return isDenied ? 'denied' : 'unknown'
  } catch (error) {
    signal.throwIfAborted()
    if (isStorageError(error, 'PROVIDER_THROTTLED')) look.isThrottled = true
    return 'unknown'
  }
}
