import type { Test } from 'tap'
import type { Entry } from '../../../src/core/entry.ts'
import { isStorageError, type StorageErrorCode } from '../../../src/errors.ts'
import type { Capabilities, ListCall, StorageBackend } from '../../../src/core/backend.ts'
import { readBody } from '../../support/app/read-body.ts'
import { rejectionOf } from '../../support/rejection.ts'
import type { OpenedBackend } from '../harness.ts'

export type Open = (t: Test) => Promise<OpenedBackend>

/** The options of a call that is never aborted. */
export function callOptions(): { signal: AbortSignal } {
  return { signal: new AbortController().signal }
}

export async function listAll(
  backend: StorageBackend,
  folderId: string | null,
  options: Partial<ListCall> = {}
): Promise<Entry[]> {
  const entries: Entry[] = []
  let cursor: string | undefined
  do {
    const page = await backend.listFolder(folderId, {
      ...callOptions(),
      limit: 1000,
      ...options,
      ...(cursor !== undefined && { cursor })
    })
    entries.push(...page.entries)
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
  return entries
}

/** Returns the ID of the root: `null` if it has none. */
export async function rootOf(backend: StorageBackend): Promise<string | null> {
  return (await backend.listFolder(null, { ...callOptions(), limit: 1 })).folder.id
}

/** Returns the content of an object. */
export async function contentOf(backend: StorageBackend, id: string): Promise<Buffer> {
  return readBody((await backend.download(id, callOptions())).body)
}

/** Returns the entry at a path below a folder, by listing folders: IDs are opaque. */
export async function find(backend: StorageBackend, path: string, top: string | null = null): Promise<Entry> {
  let folderId = top
  let found: Entry | undefined
  for (const name of path.split('/')) {
    found = (await listAll(backend, folderId)).find((entry) => entry.name === name)
    if (found === undefined) throw new Error(`${path} is not listed`)
    folderId = found.id
  }
  if (found === undefined) throw new Error(`${path} is not listed`)
  return found
}

export async function rejectsWith(
  t: Test,
  promise: Promise<unknown>,
  codes: StorageErrorCode | StorageErrorCode[],
  message?: string
): Promise<void> {
  const expected = typeof codes === 'string' ? [codes] : codes
  const error = await rejectionOf(promise)
  const actual = isStorageError(error) ? error.code : String(error)
  t.ok(isStorageError(error, ...expected), `${message ?? 'fails'}: ${expected.join(' or ')}, and was ${actual}`)
}

/** Returns a method that must exist because the capability claims it. */
export function requireMethod<T>(method: T | undefined): T {
  if (method === undefined) throw new Error('the capability is claimed, and the method is missing')
  return method
}

/** Returns the reason to skip a test if the backend does not claim the ability. */
export function skipReason(capabilities: Capabilities, capability: keyof Capabilities): string | false {
  return capabilities[capability] === 'unsupported' ? `${capability} is unsupported` : false
}

/** Escapes a name for a test message, because test reports are parsed line by line. */
export function escapeName(name: string): string {
  return JSON.stringify(name.slice(0, 40)).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16)}`)
}
