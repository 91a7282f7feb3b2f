import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import type { Call, ListCall } from '../../core/backend.ts'
import type { Entry, EntryPage, IncompleteReason } from '../../core/entry.ts'
import { StorageError } from '../../errors.ts'
import { folderInfo } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { compareUtf8 } from '../shared/names.ts'
import { requireLimit } from '../shared/backend.ts'
import { decodeKey, fileEntry, folderEntry } from './entries.ts'
import { isServiceException } from './errors.ts'
import { callS3, type S3Session } from './session.ts'

/** Maximum responses per page. After that, an empty page with a cursor is returned. */
const MAX_CALLS = 10

export async function listFolder(session: S3Session, folderId: string | null, call: ListCall): Promise<EntryPage> {
  const { cursor, limit, kind } = call
  requireLimit(limit)
  const prefix = session.keys.prefixOf(folderId)
  const tokens = new Set<string | undefined>([cursor])
  let token = cursor
  let isEmpty = cursor === undefined

  for (let calls = 1; ; calls++) {
    const response = await requestPage(session, prefix, token, call)
    const { entries, exists, hasOmissions } = parseListing(session, prefix, response, limit)
    isEmpty &&= !exists
    const { next, reason } = readContinuation(response, tokens, hasOmissions)

    if (reason === null && isEmpty && folderId !== null) throw failure('FOLDER_NOT_FOUND')
    const matching = kind === undefined ? entries : entries.filter((entry) => entry.kind === kind)
    if (matching.length > 0 || next === null || calls === MAX_CALLS) {
      return { folder: folderInfo(folderId), entries: matching, next, complete: reason === null, reason }
    }
    tokens.add(next)
    token = next
  }
}

/** Returns whether a folder contains anything: S3 has no folders other than common prefixes. */
export async function folderExists(session: S3Session, folderId: string, call: Call): Promise<boolean> {
  const response = await callS3(call, 'OBJECT_NOT_FOUND', (options) =>
    session.client.send(
      new session.sdk.ListObjectsV2Command({
        Bucket: session.bucket,
        Prefix: session.keys.prefixOf(folderId),
        MaxKeys: 1,
        EncodingType: 'url'
      }),
      options
    )
  )
  requireListing(response)
  return (response.Contents ?? []).length > 0
}

async function requestPage(
  session: S3Session,
  prefix: string,
  token: string | undefined,
  call: ListCall
): Promise<ListObjectsV2CommandOutput> {
  const command = new session.sdk.ListObjectsV2Command({
    Bucket: session.bucket,
    Prefix: prefix,
    Delimiter: '/',
    MaxKeys: call.limit,
    // A key may contain characters that XML cannot represent.
    EncodingType: 'url',
    ContinuationToken: token
  })
  const response = await callS3(call, 'FOLDER_NOT_FOUND', async (options) => {
    try {
      return await session.client.send(command, options)
    } catch (error) {
      if (token === undefined || !isServiceException(error, 'InvalidArgument')) throw error
      throw new StorageError('CURSOR_EXPIRED', 'The listing cannot be continued. List the folder again.')
    }
  })
  requireListing(response)
  return response
}

/**
 * The SDK converts an empty body, and any XML without the expected elements, to an empty listing (3.1169).
 * `IsTruncated` is part of every valid response.
 */
function requireListing(response: ListObjectsV2CommandOutput): void {
  if (response.IsTruncated === undefined)
    throw failure('PROVIDER_ERROR', 'S3 returned 200 with a body that is not a listing')
}

interface ParsedListing {
  readonly entries: Entry[]
  /** Whether the folder exists: it has content, or a marker object. */
  readonly exists: boolean
  /** Whether keys were omitted because they cannot be decoded. */
  readonly hasOmissions: boolean
}

function parseListing(
  session: S3Session,
  prefix: string,
  response: ListObjectsV2CommandOutput,
  limit: number
): ParsedListing {
  const { keys } = session
  // A server without support for EncodingType sends keys unencoded, and omits it from the response.
  const decode = response.EncodingType === 'url' ? decodeKey : (key: string) => key
  const entries: Entry[] = []
  let hasOmissions = false
  const add = (encoded: string | undefined, isFolder: boolean, toEntry: (id: string) => Entry) => {
    const key = encoded === undefined ? undefined : decode(encoded)
    if (key === undefined) {
      hasOmissions = true
      return
    }
    if (key === prefix && !isFolder) return
    const rest = key.slice(prefix.length)
    const isChild = key.startsWith(prefix) && rest.indexOf('/') === (isFolder ? rest.length - 1 : -1)
    if (!isChild || rest === '') throw failure('PROVIDER_ERROR', 'S3 listed a key outside the folder')
    entries.push(toEntry(keys.idOf(key)))
  }

  const contents = response.Contents ?? []
  const prefixes = response.CommonPrefixes ?? []
  if (contents.length + prefixes.length > limit) throw failure('PROVIDER_ERROR', 'S3 listed more keys than requested')
  for (const object of contents) {
    const metadata = { size: object.Size, modified: object.LastModified, etag: object.ETag }
    add(object.Key, false, (id) => fileEntry(keys, id, { ...metadata, storageClass: object.StorageClass }))
  }
  for (const commonPrefix of prefixes) add(commonPrefix.Prefix, true, (id) => folderEntry(keys, id))

  entries.sort((a, b) => compareUtf8(a.id, b.id))
  return { entries, exists: contents.length + prefixes.length > 0, hasOmissions }
}

/** Returns the next cursor and the reason why a page is incomplete. A page with a cursor is never complete. */
function readContinuation(
  response: ListObjectsV2CommandOutput,
  tokens: ReadonlySet<string | undefined>,
  hasOmissions: boolean
): { next: string | null; reason: IncompleteReason | null } {
  if (response.IsTruncated !== true) return { next: null, reason: hasOmissions ? 'provider-partial' : null }
  const next = response.NextContinuationToken
  if (next === undefined || next === '') return { next: null, reason: 'provider-partial' }
  return tokens.has(next) ? { next: null, reason: 'duplicate-cursor' } : { next, reason: 'more' }
}
