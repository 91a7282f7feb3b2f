import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import type { Entry, EntryPage, FolderInfo, IncompleteReason } from '../../core/entry.ts'
import { StorageError } from '../../errors.ts'
import type { Call, ListCall } from '../../core/backend.ts'
import { providerFailure } from '../../errors.ts'
import { nameOf, parentOf } from '../shared/names.ts'
import { requireLimit } from '../shared/paging.ts'
import { compareUtf8 } from '../shared/names.ts'
import { attempt, type Bucket } from './client.ts'
import { fileEntry, folderEntry } from './entries.ts'
import { isRefusal, nonsense } from './errors.ts'
import { decodeKey } from './entries.ts'

/** Maximum responses per page. After that, an empty page with a cursor is returned. */
const MAX_CALLS = 10

export async function listFolder(bucket: Bucket, folderId: string | null, call: ListCall): Promise<EntryPage> {
  const { cursor, limit, kind } = call
  requireLimit(limit)
  const prefix = bucket.keys.ofFolder(folderId)
  const tokens = new Set<string | undefined>([cursor])
  let token = cursor
  let isEmpty = cursor === undefined

  for (let calls = 1; ; calls++) {
    const answer = await request(bucket, prefix, token, call)
    const { entries, found, lost } = read(bucket, prefix, answer, limit)
    isEmpty &&= !found
    const { next, reason } = proceed(answer, tokens, lost)

    if (reason === null && isEmpty && folderId !== null) {
      throw providerFailure('FOLDER_NOT_FOUND')
    }
    const wanted = kind === undefined ? entries : entries.filter((entry) => entry.kind === kind)
    if (wanted.length > 0 || next === null || calls === MAX_CALLS) {
      return { folder: infoOf(folderId), entries: wanted, next, complete: reason === null, reason }
    }
    tokens.add(next)
    token = next
  }
}

/** Returns whether a folder contains anything: S3 has no folders other than common prefixes. */
export async function folderExists(bucket: Bucket, folderId: string, call: Call): Promise<boolean> {
  const answer = await attempt(call, 'OBJECT_NOT_FOUND', (options) =>
    bucket.calls.send(
      new bucket.sdk.ListObjectsV2Command({
        Bucket: bucket.name,
        Prefix: bucket.keys.ofFolder(folderId),
        MaxKeys: 1,
        EncodingType: 'url'
      }),
      options
    )
  )
  requireAnswer(answer)
  return (answer.Contents ?? []).length > 0
}

function infoOf(folderId: string | null): FolderInfo {
  if (folderId === null) return { id: null, name: null, parentId: null }
  return { id: folderId, name: nameOf(folderId), parentId: parentOf(folderId) }
}

async function request(
  bucket: Bucket,
  prefix: string,
  token: string | undefined,
  call: ListCall
): Promise<ListObjectsV2CommandOutput> {
  const command = new bucket.sdk.ListObjectsV2Command({
    Bucket: bucket.name,
    Prefix: prefix,
    Delimiter: '/',
    MaxKeys: call.limit,
    // A key may contain characters that XML cannot represent.
    EncodingType: 'url',
    ContinuationToken: token
  })
  const answer = await attempt(call, 'FOLDER_NOT_FOUND', async (options) => {
    try {
      return await bucket.calls.send(command, options)
    } catch (error) {
      if (token === undefined || !isRefusal(error, 'InvalidArgument')) throw error
      throw new StorageError('CURSOR_EXPIRED', 'The listing cannot be continued. List the folder again.')
    }
  })
  requireAnswer(answer)
  return answer
}

/**
 * The SDK converts an empty body, and any XML without the expected elements, to an empty listing (3.1169).
 * `IsTruncated` is part of every valid response.
 */
function requireAnswer(answer: ListObjectsV2CommandOutput): void {
  if (answer.IsTruncated === undefined) throw nonsense('S3 returned 200 with a body that is not a listing')
}

interface Content {
  readonly entries: Entry[]
  /** Whether the folder exists: it has content, or a marker object. */
  readonly found: boolean
  /** Whether keys were omitted because they cannot be decoded. */
  readonly lost: boolean
}

function read(bucket: Bucket, prefix: string, answer: ListObjectsV2CommandOutput, limit: number): Content {
  const { keys } = bucket
  // A server without support for EncodingType sends keys unencoded, and omits it from the response.
  const decode = answer.EncodingType === 'url' ? decodeKey : (key: string) => key
  const entries: Entry[] = []
  let lost = false
  const add = (encoded: string | undefined, isFolder: boolean, make: (id: string) => Entry) => {
    const key = encoded === undefined ? undefined : decode(encoded)
    if (key === undefined) {
      lost = true
      return
    }
    if (key === prefix && !isFolder) return
    const rest = key.slice(prefix.length)
    const isChild = key.startsWith(prefix) && rest.indexOf('/') === (isFolder ? rest.length - 1 : -1)
    if (!isChild || rest === '') throw nonsense('S3 listed a key outside the folder')
    entries.push(make(keys.idOf(key)))
  }

  const contents = answer.Contents ?? []
  const prefixes = answer.CommonPrefixes ?? []
  if (contents.length + prefixes.length > limit) throw nonsense('S3 listed more keys than requested')
  for (const object of contents) {
    const facts = { size: object.Size, modified: object.LastModified, etag: object.ETag }
    add(object.Key, false, (id) => fileEntry(keys, id, { ...facts, storageClass: object.StorageClass }))
  }
  for (const common of prefixes) add(common.Prefix, true, (id) => folderEntry(keys, id))

  entries.sort((a, b) => compareUtf8(a.id, b.id))
  return { entries, found: contents.length + prefixes.length > 0, lost }
}

/** Returns the next cursor and the reason why a page is incomplete. A page with a cursor is never complete. */
function proceed(
  answer: ListObjectsV2CommandOutput,
  tokens: ReadonlySet<string | undefined>,
  lost: boolean
): { next: string | null; reason: IncompleteReason | null } {
  if (answer.IsTruncated !== true) return { next: null, reason: lost ? 'provider-partial' : null }
  const next = answer.NextContinuationToken
  if (next === undefined || next === '') return { next: null, reason: 'provider-partial' }
  return tokens.has(next) ? { next: null, reason: 'duplicate-cursor' } : { next, reason: 'more' }
}
