import type { IncomingHttpHeaders } from 'node:http'
import { StorageError } from '../errors.ts'
import type { VersionCondition } from '../transfers/transfers.ts'
import { validatorsOf } from './content-response.ts'
import { isStrong, parseEntityTags } from './conditional.ts'

const ENTITY_TAG_LIST = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:[ \t]*,[ \t]*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")*$/

/** The preconditions of a change. */
export interface WriteConditions {
  readonly ifNoneMatch: '*' | undefined
  readonly ifMatch: VersionCondition | undefined
}

/**
 * Reads the conditions of a change (RFC 9110, 13.1). Rejects those that cannot be checked, since the client relies on
 * them.
 *
 * @param isById whether the object can be read before the change; if not, `If-Match` must name exactly one version
 * @throws StorageError `INVALID_REQUEST`
 */
export function parseWriteConditions(
  headers: IncomingHttpHeaders,
  { isById, canCreate }: { readonly isById: boolean; readonly canCreate: boolean }
): WriteConditions {
  if ('if-unmodified-since' in headers || 'if-range' in headers) {
    throw new StorageError('INVALID_REQUEST', 'Changes support no conditions other than If-Match and If-None-Match.')
  }
  const { 'if-none-match': ifNoneMatch, 'if-match': ifMatch } = headers
  if (ifNoneMatch !== undefined && !(canCreate && ifNoneMatch.trim() === '*')) {
    const message = canCreate ? 'If-None-Match must be * here.' : 'If-None-Match is not supported here.'
    throw new StorageError('INVALID_REQUEST', message)
  }
  return {
    ifNoneMatch: ifNoneMatch === undefined ? undefined : '*',
    ifMatch: ifMatch === undefined ? undefined : toVersionCondition(ifMatch.trim(), isById)
  }
}

function toVersionCondition(value: string, isById: boolean): VersionCondition {
  const isAny = value === '*'
  if (!isAny && !ENTITY_TAG_LIST.test(value)) {
    throw new StorageError('INVALID_REQUEST', 'If-Match must contain versions in double quotes.')
  }
  // A weak tag never matches (RFC 9110, 8.8.3.2).
  const tags = parseEntityTags(value).filter(isStrong)
  if (!isById && (isAny || tags.length > 1)) {
    throw new StorageError('INVALID_REQUEST', 'When uploading by name, If-Match takes exactly one version.')
  }
  return {
    isMet: ({ version, modifiedAt }) => {
      const { etag } = validatorsOf({ etag: version, modifiedAt })
      return isAny || (etag !== null && tags.includes(etag))
    },
    version: tags.length === 1 ? tags[0]?.slice(1, -1) : undefined
  }
}
