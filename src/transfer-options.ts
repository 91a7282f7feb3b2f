import { isAbsolute } from 'node:path'
import { check, known, positive, record, text } from './option-checks.ts'

/** What users may do with content through our routes. */
export interface TransferOptions {
  /** The largest upload, in bytes. Left out: as large as the provider takes. */
  readonly maxBytes?: number
}

/** `false`: there are no such routes. */
export type CheckedTransfers = false | { readonly maxBytes: number | undefined }

/** @throws TypeError that names the option */
export function transferOptions(given: boolean | TransferOptions | undefined): CheckedTransfers {
  if (given === undefined || given === false) return false
  if (given === true) return { maxBytes: undefined }
  const isObject = typeof given === 'object' && (given as unknown) !== null && !Array.isArray(given)
  check(isObject, 'transfers', 'must be true, false or an object')
  const { maxBytes } = given
  known('transfers', record('transfers', given), ['maxBytes'])
  if (maxBytes !== undefined) positive('transfers.maxBytes', maxBytes)
  return { maxBytes }
}

/**
 * Temporary files for uploads of unknown size to OneDrive and Box, which must know the size first. The first 4 MiB of
 * such an upload are held in memory, and take up no space here. Also of uploads by `storageBackendHook`.
 */
export interface SpoolOptions {
  /** The largest upload, in bytes; beyond it `PAYLOAD_TOO_LARGE`. Default 256 MiB. */
  readonly maxBytes?: number
  /**
   * What all uploads of one user may hold at a time, in bytes; beyond it `TOO_MANY_REQUESTS`. Not less than `maxBytes`,
   * which is the default.
   */
  readonly maxBytesPerUser?: number
  /**
   * What all uploads of this process may hold at a time, in bytes; beyond it, and where the disk is full,
   * `INSUFFICIENT_STORAGE`. Not less than `maxBytesPerUser`. Default four times that.
   */
  readonly maxTotalBytes?: number
  /** An absolute path of a folder that exists. Default: the system's folder for temporary files. */
  readonly folder?: string
}

export interface CheckedSpool {
  readonly maxBytes: number
  readonly maxBytesPerUser: number
  readonly maxTotalBytes: number
  readonly folder: string | undefined
}

const SPOOL_MAX_BYTES = 256 * 1024 * 1024
const SPOOL_USERS = 4

/** @throws TypeError that names the option */
export function spoolOptions(given: SpoolOptions | undefined): CheckedSpool {
  const options = record('spool', given ?? {})
  known('spool', options, ['maxBytes', 'maxBytesPerUser', 'maxTotalBytes', 'folder'])
  for (const name of ['maxBytes', 'maxBytesPerUser', 'maxTotalBytes']) {
    if (options[name] !== undefined) positive(`spool.${name}`, options[name])
  }
  const { folder } = options
  if (folder !== undefined) {
    text('spool.folder', folder)
    check(isAbsolute(folder), 'spool.folder', 'must be an absolute path')
  }
  const { maxBytes: ofUpload, maxBytesPerUser: ofUser, maxTotalBytes: ofAll } = given ?? {}
  // A limit that is left out follows those that were given: none of these contradicts another.
  const maxBytes = ofUpload ?? Math.min(SPOOL_MAX_BYTES, ofUser ?? Infinity, ofAll ?? Infinity)
  const maxBytesPerUser = ofUser ?? maxBytes
  const maxTotalBytes = ofAll ?? SPOOL_USERS * maxBytesPerUser
  check(maxBytes <= maxBytesPerUser, 'spool.maxBytesPerUser', `must not be less than maxBytes, ${maxBytes}`)
  check(maxBytesPerUser <= maxTotalBytes, 'spool.maxTotalBytes', `must not be less than ${maxBytesPerUser}`)
  return { maxBytes, maxBytesPerUser, maxTotalBytes, folder }
}
