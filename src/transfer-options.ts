import { isAbsolute } from 'node:path'
import { check, known, positive, record, text } from './option-checks.ts'

/** The options of the transfer routes. */
export interface TransferOptions {
  /** Largest upload, in bytes. Default: the provider's limit. */
  readonly maxBytes?: number
}

/** `false`: there are no transfer routes. */
export type CheckedTransfers = false | { readonly maxBytes: number | undefined }

/** Checks the option `transfers`. @throws TypeError that names the option */
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
 * Temporary files for uploads of unknown size to OneDrive and Box, which need the size in advance. The first 4 MiB of
 * such an upload are held in memory and do not count. Also applies to uploads with `storageBackendHook`.
 */
export interface SpoolOptions {
  /** Largest upload, in bytes; beyond it `PAYLOAD_TOO_LARGE`. Default 256 MiB. */
  readonly maxBytes?: number
  /**
   * Total size of one user's concurrent uploads in bytes; beyond it `TOO_MANY_REQUESTS`. At least `maxBytes`, which
   * is the default.
   */
  readonly maxBytesPerUser?: number
  /**
   * Total size of this process's concurrent uploads in bytes; beyond it, or if the disk is full,
   * `INSUFFICIENT_STORAGE`. At least `maxBytesPerUser`. Default four times that.
   */
  readonly maxTotalBytes?: number
  /** The absolute path of an existing folder. Default: the system's folder for temporary files. */
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

/** Checks the option `spool`. @throws TypeError that names the option */
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
  // Missing limits are derived from the given ones, so that they do not contradict each other.
  const maxBytes = ofUpload ?? Math.min(SPOOL_MAX_BYTES, ofUser ?? Infinity, ofAll ?? Infinity)
  const maxBytesPerUser = ofUser ?? maxBytes
  const maxTotalBytes = ofAll ?? SPOOL_USERS * maxBytesPerUser
  check(maxBytes <= maxBytesPerUser, 'spool.maxBytesPerUser', `must not be less than maxBytes, ${maxBytes}`)
  check(maxBytesPerUser <= maxTotalBytes, 'spool.maxTotalBytes', `must not be less than ${maxBytesPerUser}`)
  return { maxBytes, maxBytesPerUser, maxTotalBytes, folder }
}
