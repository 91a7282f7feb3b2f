import type { Readable } from 'node:stream'
import { chooseConnection, requireActive, type SealedConnection } from '../core/connection.ts'
import type { Entry } from '../core/entry.ts'
import { isStorageError, StorageError } from '../errors.ts'
import { providerFailure } from '../errors.ts'
import type { ConnectionLeases, ConnectionStore } from '../core/stores.ts'
import type { Call, StorageBackend, UploadCall } from '../core/backend.ts'
import type { ProviderCatalog } from '../connections/provider-catalog.ts'
import { Touched, type TouchedListings } from './affected-folders.ts'

/** The user, provider and connection of a transfer. */
export interface TransferPlace {
  readonly userId: string
  readonly provider: string
  /** Default: the user's only connection to the provider, or the default one. */
  readonly connectionId: string | undefined
}

/** The precondition of a change on the object's current version. */
export interface VersionCondition {
  readonly isMet: (entry: Entry) => boolean
  /** The single accepted version, for objects that cannot be read first; `undefined`: several versions, or any. */
  readonly version: string | undefined
}

export type TransferTarget = { readonly id: string } | { readonly parentId: string | null; readonly name: string }

export interface TransferUpload extends Call {
  readonly target: TransferTarget
  readonly mimeType: string | undefined
  readonly size: number | undefined
  readonly ifNoneMatch: '*' | undefined
  readonly ifMatch: VersionCondition | undefined
}

export interface TransferAnswer {
  readonly entry: Entry
  /** True if the object did not exist before. */
  readonly isNew: boolean
}

export interface TransferPorts {
  readonly providers: ProviderCatalog
  readonly connections: Pick<ConnectionStore, 'listSealed'>
  readonly leases: Pick<ConnectionLeases, 'findSealed'>
  readonly open: (connection: SealedConnection) => Promise<StorageBackend>
  readonly listings: TouchedListings
}

/**
 * Reads and changes the content of users' clouds. Each call reads the user's connection anew.
 *
 * @throws StorageError `PROVIDER_UNKNOWN`, `CONNECTION_MISSING`, `CONNECTION_AMBIGUOUS`, `CONNECTION_NOT_FOUND`,
 * `CONNECTION_INACTIVE`, the errors of opening it and of the backend; `UNSUPPORTED` for a missing ability
 */
export interface Transfers {
  readonly open: (place: TransferPlace) => Promise<StorageBackend>
  /** @param body is read once the connection is open */
  readonly upload: (place: TransferPlace, upload: TransferUpload, body: Readable) => Promise<TransferAnswer>
  readonly createFolder: (place: TransferPlace, parentId: string | null, name: string, call: Call) => Promise<Entry>
  /** Removes an object. An object that is already gone is not an error. */
  readonly remove: (
    place: TransferPlace,
    id: string,
    call: Call & { readonly ifMatch: VersionCondition | undefined }
  ) => Promise<void>
}

export function createTransfers({ providers, connections, leases, open, listings }: TransferPorts): Transfers {
  async function find({ userId, provider, connectionId }: TransferPlace): Promise<SealedConnection> {
    // Checked first: a provider that is not enabled has no connections either.
    providers.get(provider)
    // Leases are not used: a change must not go to the connection that was the default a moment ago.
    if (connectionId === undefined) {
      return requireActive(chooseConnection(await connections.listSealed(userId, provider)))
    }
    const connection = await leases.findSealed(userId, connectionId)
    if (connection?.provider === provider) return requireActive(connection)
    throw new StorageError('CONNECTION_NOT_FOUND')
  }

  /** Runs a change, and drops the affected listings before the caller gets the outcome. */
  async function change<T>(
    place: TransferPlace,
    run: (backend: StorageBackend, touched: Touched) => Promise<T>
  ): Promise<T> {
    const connection = await find(place)
    const backend = await open(connection)
    const touched = new Touched()
    try {
      return await run(backend, touched)
    } finally {
      if (touched.isBegun) listings.drop(connection, touched)
    }
  }

  return {
    open: async (place) => open(await find(place)),

    upload: (place, upload, body) =>
      change(place, async (backend, touched) => {
        requireAbilities(backend, upload)
        const { target, mimeType, signal } = upload
        const call = await prepare(backend, upload, touched)
        touched.isBegun = true
        const typed = { ...target, ...(mimeType !== undefined && { mimeType }) }
        let isNew = !('id' in target) && upload.ifMatch === undefined
        const onStored = (wasFree: boolean): void => {
          isNew = wasFree
        }
        const isOpen = isNew && upload.ifNoneMatch === undefined
        const entry = await backend.upload?.(typed, body, { ...call, signal, ...(isOpen && { onStored }) })
        if (entry === undefined) throw unsupported('uploads')
        touched.addEntry(entry, { isInKnownFolder: true })
        return { entry, isNew }
      }),

    createFolder: (place, parentId, name, { signal }) =>
      change(place, async (backend, touched) => {
        if (backend.createFolder === undefined) throw unsupported('creating folders')
        touched.addFolder(parentId)
        touched.isBegun = true
        const entry = await backend.createFolder(parentId, name, { signal })
        touched.addEntry(entry, { isInKnownFolder: true })
        return entry
      }),

    remove: (place, id, { signal, ifMatch }) =>
      change(place, async (backend, touched) => {
        if (backend.remove === undefined) throw unsupported('removing objects')
        const entry = await lookAt(backend, id, signal, touched)
        if (ifMatch !== undefined && (entry === null || !ifMatch.isMet(entry))) throw changed()
        touched.isBegun = true
        await backend.remove(id, { signal })
      })
  }
}

/** Checks the target as far as possible, and returns the options of the upload. */
async function prepare(
  backend: StorageBackend,
  { target, size, ifNoneMatch, ifMatch, signal }: TransferUpload,
  touched: Touched
): Promise<Omit<UploadCall, 'signal'>> {
  const common = { ...(size !== undefined && { size }), ...(ifNoneMatch !== undefined && { ifNoneMatch }) }
  if (!('id' in target)) {
    touched.addFolder(target.parentId)
    return { ...common, ...(ifMatch?.version !== undefined && { ifMatch: ifMatch.version }) }
  }
  const entry = await lookAt(backend, target.id, signal, touched)
  if (entry === null) {
    throw ifMatch === undefined ? providerFailure('OBJECT_NOT_FOUND') : changed()
  }
  if (ifMatch === undefined) return common
  if (!ifMatch.isMet(entry)) throw changed()
  // The backend checks the version again when it writes: it may change until then.
  return { ...common, ...(entry.version !== null && { ifMatch: entry.version }) }
}

/** @returns `null` if there is no such object */
async function lookAt(
  backend: StorageBackend,
  id: string,
  signal: AbortSignal,
  touched: Touched
): Promise<Entry | null> {
  try {
    const entry = await backend.stat(id, { signal })
    touched.addEntry(entry, { isInKnownFolder: false })
    return entry
  } catch (error) {
    if (!isStorageError(error, 'OBJECT_NOT_FOUND')) throw error
    touched.addUnknown()
    return null
  }
}

function requireAbilities(backend: StorageBackend, { ifMatch, ifNoneMatch }: TransferUpload): void {
  const { capabilities } = backend
  if (backend.upload === undefined) throw unsupported('uploads')
  if (ifNoneMatch !== undefined && capabilities.createOnly === 'unsupported') throw unsupported('If-None-Match')
  if (ifMatch !== undefined && capabilities.updateIfMatch === 'unsupported') throw unsupported('If-Match')
}

function unsupported(what: string): StorageError {
  return new StorageError('UNSUPPORTED', `This provider does not support ${what}.`)
}

function changed(): StorageError {
  return new StorageError('PRECONDITION_FAILED', 'The object does not match the precondition of the request.')
}
