import type { Readable } from 'node:stream'
import type { Connections } from '../connections/connections.ts'
import type { Call, StorageBackend, UploadCall } from '../core/backend.ts'
import type { ConnectionSelector } from '../core/connection.ts'
import type { Entry } from '../core/entry.ts'
import { isStorageError, providerFailure, StorageError } from '../errors.ts'
import { AffectedFolders, type ListingInvalidator } from './affected-folders.ts'

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

export interface UploadResult {
  readonly entry: Entry
  /** True if the object did not exist before. */
  readonly isNew: boolean
}

/**
 * Reads and changes the content of users' clouds. Each call reads the user's connection anew.
 *
 * @throws StorageError `PROVIDER_UNKNOWN`, `CONNECTION_MISSING`, `CONNECTION_AMBIGUOUS`, `CONNECTION_NOT_FOUND`,
 * `CONNECTION_INACTIVE`, the errors of opening it and of the backend; `UNSUPPORTED` for a missing ability
 */
export class Transfers {
  readonly #connections: Connections
  readonly #listings: ListingInvalidator

  constructor(connections: Connections, listings: ListingInvalidator) {
    this.#connections = connections
    this.#listings = listings
  }

  /** Returns the backend for downloads. */
  async openForReading(selector: ConnectionSelector): Promise<StorageBackend> {
    return (await this.#connections.openSelected(selector)).backend
  }

  /** @param body is read once the connection is open */
  async upload(selector: ConnectionSelector, upload: TransferUpload, body: Readable): Promise<UploadResult> {
    return await this.#runChange(selector, async (backend, affected) => {
      requireCapabilities(backend, upload)
      const { target, mimeType, signal } = upload
      const call = await prepareUpload(backend, upload, affected)
      affected.isStarted = true
      const uploadTarget = { ...target, ...(mimeType !== undefined && { mimeType }) }
      let isNew = !('id' in target) && upload.ifMatch === undefined
      const onStored = (wasAbsent: boolean): void => {
        isNew = wasAbsent
      }
      const isUnconditional = isNew && upload.ifNoneMatch === undefined
      const entry = await backend.upload?.(uploadTarget, body, {
        ...call,
        signal,
        ...(isUnconditional && { onStored })
      })
      if (entry === undefined) throw unsupported('uploads')
      affected.addEntry(entry, { isInKnownFolder: true })
      return { entry, isNew }
    })
  }

  async createFolder(
    selector: ConnectionSelector,
    parentId: string | null,
    name: string,
    { signal }: Call
  ): Promise<Entry> {
    return await this.#runChange(selector, async (backend, affected) => {
      if (backend.createFolder === undefined) throw unsupported('creating folders')
      affected.addFolder(parentId)
      affected.isStarted = true
      const entry = await backend.createFolder(parentId, name, { signal })
      affected.addEntry(entry, { isInKnownFolder: true })
      return entry
    })
  }

  /** Removes an object. An object that is already gone is not an error. */
  async remove(
    selector: ConnectionSelector,
    id: string,
    { signal, ifMatch }: Call & { readonly ifMatch: VersionCondition | undefined }
  ): Promise<void> {
    await this.#runChange(selector, async (backend, affected) => {
      if (backend.remove === undefined) throw unsupported('removing objects')
      const entry = await statTarget(backend, id, signal, affected)
      if (ifMatch !== undefined && (entry === null || !ifMatch.isMet(entry))) throw preconditionFailed()
      affected.isStarted = true
      await backend.remove(id, { signal })
    })
  }

  /** Runs a change, and drops the affected listings before the caller gets the outcome. */
  async #runChange<T>(
    selector: ConnectionSelector,
    run: (backend: StorageBackend, affected: AffectedFolders) => Promise<T>
  ): Promise<T> {
    const { connection, backend } = await this.#connections.openSelected(selector)
    const affected = new AffectedFolders()
    try {
      return await run(backend, affected)
    } finally {
      if (affected.isStarted) this.#listings.invalidate(connection, affected)
    }
  }
}

/** Checks the target as far as possible, and returns the options of the upload. */
async function prepareUpload(
  backend: StorageBackend,
  { target, size, ifNoneMatch, ifMatch, signal }: TransferUpload,
  affected: AffectedFolders
): Promise<Omit<UploadCall, 'signal'>> {
  const common = { ...(size !== undefined && { size }), ...(ifNoneMatch !== undefined && { ifNoneMatch }) }
  if (!('id' in target)) {
    affected.addFolder(target.parentId)
    return { ...common, ...(ifMatch?.version !== undefined && { ifMatch: ifMatch.version }) }
  }
  const entry = await statTarget(backend, target.id, signal, affected)
  if (entry === null) {
    throw ifMatch === undefined ? providerFailure('OBJECT_NOT_FOUND') : preconditionFailed()
  }
  if (ifMatch === undefined) return common
  if (!ifMatch.isMet(entry)) throw preconditionFailed()
  // The backend checks the version again when it writes: it may change until then.
  return { ...common, ...(entry.version !== null && { ifMatch: entry.version }) }
}

/** @returns `null` if there is no such object */
async function statTarget(
  backend: StorageBackend,
  id: string,
  signal: AbortSignal,
  affected: AffectedFolders
): Promise<Entry | null> {
  try {
    const entry = await backend.stat(id, { signal })
    affected.addEntry(entry, { isInKnownFolder: false })
    return entry
  } catch (error) {
    if (!isStorageError(error, 'OBJECT_NOT_FOUND')) throw error
    affected.addUnknown()
    return null
  }
}

function requireCapabilities(backend: StorageBackend, { ifMatch, ifNoneMatch }: TransferUpload): void {
  const { capabilities } = backend
  if (backend.upload === undefined) throw unsupported('uploads')
  if (ifNoneMatch !== undefined && capabilities.createOnly === 'unsupported') throw unsupported('If-None-Match')
  if (ifMatch !== undefined && capabilities.updateIfMatch === 'unsupported') throw unsupported('If-Match')
}

function unsupported(operation: string): StorageError {
  return new StorageError('UNSUPPORTED', `This provider does not support ${operation}.`)
}

function preconditionFailed(): StorageError {
  return new StorageError('PRECONDITION_FAILED', 'The object does not match the precondition of the request.')
}
