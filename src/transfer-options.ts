import { check, known, positive, record } from './option-checks.ts'

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
