import type { Call } from '../../core/backend.ts'
import { SharedWork } from '../../core/shared-work.ts'
import { isStorageError } from '../../errors.ts'
import { requirePage } from './list.ts'
import type { DropboxSession } from './session.ts'

/**
 * Returns true if Dropbox reports no change in a folder since its mark. A mark is a cursor of the folder. An expired
 * one confirms nothing, and neither does one of a folder that was deleted or moved.
 *
 * Dropbox refuses equal requests that are made at the same time, so concurrent callers share one.
 */
export async function isCurrent(
  session: DropboxSession,
  _id: string | null,
  mark: string,
  { signal }: Call
): Promise<boolean> {
  return await (session.checks.get(mark) ?? startCheck(session, mark)).wait(signal)
}

function startCheck(session: DropboxSession, mark: string): SharedWork<boolean> {
  const { checks } = session
  const forget = (): void => {
    if (checks.get(mark) === check) checks.delete(mark)
  }
  const check = new SharedWork<boolean>(forget)
  checks.set(mark, check)
  check.begin(async (signal) => {
    try {
      return await hasNoChanges(session, mark, signal)
    } finally {
      forget()
    }
  })
  return check
}

/** An empty page that is not the last one proves nothing: changes may follow. */
async function hasNoChanges({ client }: DropboxSession, mark: string, signal: AbortSignal): Promise<boolean> {
  try {
    const options = { signal, missing: 'FOLDER_NOT_FOUND' } as const
    const { items, hasMore } = requirePage(await client.files('list_folder/continue', { cursor: mark }, options))
    return items.length === 0 && !hasMore
  } catch (error) {
    if (isStorageError(error, 'CURSOR_EXPIRED', 'FOLDER_NOT_FOUND')) return false
    throw error
  }
}
