import type { Readable } from 'node:stream'
import type { Entry, EntryPage } from '../../core/entry.ts'
import { StorageError } from '../../errors.ts'
import {
  MAX_DOWNLOAD_URL_MS,
  type Account,
  type Call,
  type Capabilities,
  type Download,
  type DownloadCall,
  type DownloadUrl,
  type DownloadUrlCall,
  type ListCall,
  type StorageBackend,
  type UploadCall,
  type UploadTarget
} from '../../core/backend.ts'
import { providerFailure } from '../../errors.ts'
import { formatContentDisposition } from '../../core/entry.ts'
import { importSdk } from '../shared/import-sdk.ts'
import { exists } from '../shared/upload.ts'
import { requireMediaType } from '../shared/upload.ts'
import { nameOf } from '../shared/names.ts'
import { uploadFrom } from '../shared/upload.ts'
import { mapErrors, type Bucket, type Preconditions } from './client.ts'
import { downloadObject, requireFile } from './download.ts'
import { fileEntry, folderEntry } from './entries.ts'
import { isServiceException, invalidResponse } from './errors.ts'
import { folderExists, listFolder } from './list.ts'
import { Precondition } from './precondition.ts'
import { requireETag, uploadObject } from './upload.ts'

export function capabilitiesFor(preconditions: Preconditions): Capabilities {
  return {
    paging: 'native',
    kindFilter: 'emulated',
    rangeDownload: 'native',
    upload: 'native',
    createOnly: preconditions,
    updateIfMatch: preconditions,
    atomicReplace: 'native',
    remove: 'native',
    createFolder: 'emulated',
    downloadUrl: 'native'
  }
}

/**
 * A bucket, or one folder of it. Keys with a common prefix up to a `/` are in one folder. An empty folder is
 * represented by a marker object with a key that ends with `/`. Uploads do not require an existing folder.
 */
export class S3Backend implements StorageBackend {
  readonly provider = 's3'
  readonly capabilities: Capabilities
  readonly #bucket: Bucket
  readonly #account: Account

  constructor(bucket: Bucket, account: Account) {
    this.#bucket = bucket
    this.#account = account
    this.capabilities = capabilitiesFor(bucket.preconditions)
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    return listFolder(this.#bucket, folderId, call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    const bucket = this.#bucket
    const key = bucket.keys.keyOf(id)
    if (id.endsWith('/')) {
      if (await folderExists(bucket, id, call)) return folderEntry(bucket.keys, id)
      throw providerFailure('OBJECT_NOT_FOUND')
    }
    const head = await mapErrors(call, 'OBJECT_NOT_FOUND', (options) =>
      bucket.client.send(new bucket.sdk.HeadObjectCommand({ Bucket: bucket.name, Key: key }), options)
    )
    if (head.ETag === undefined && head.LastModified === undefined)
      throw invalidResponse('S3 returned 200 without an object')
    return fileEntry(bucket.keys, id, {
      size: head.ContentLength,
      modified: head.LastModified,
      etag: head.ETag,
      storageClass: head.StorageClass,
      restore: head.Restore,
      mimeType: head.ContentType
    })
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    const key = this.#bucket.keys.keyOf(id)
    requireFile(id)
    return downloadObject(this.#bucket, key, call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFrom(body, call, async (source) => {
      const id = 'id' in target ? target.id : this.#bucket.keys.childId(target.parentId, target.name)
      if (id.endsWith('/')) throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
      requireMediaType(target.mimeType)
      const { onStored } = call
      const existedBefore = onStored && (await exists(() => this.stat(id, call)))
      const entry = await uploadObject(this.#bucket, id, target.mimeType, source, call)
      if (existedBefore !== undefined) onStored?.(!existedBefore)
      return entry
    })
  }

  async remove(id: string, call: Call): Promise<void> {
    const bucket = this.#bucket
    const key = bucket.keys.keyOf(id)
    if (id.endsWith('/')) throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
    await mapErrors(call, 'OBJECT_NOT_FOUND', async (options) => {
      try {
        await bucket.client.send(new bucket.sdk.DeleteObjectCommand({ Bucket: bucket.name, Key: key }), options)
      } catch (error) {
        if (!isServiceException(error, 'NoSuchKey')) throw error
      }
    })
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    const bucket = this.#bucket
    const id = `${bucket.keys.childId(parentId, name)}/`
    const key = bucket.keys.keyOf(id)
    if (await folderExists(bucket, id, call)) {
      throw providerFailure('ALREADY_EXISTS')
    }
    const condition = new Precondition(bucket, key, { ...call, ifNoneMatch: '*' })
    const marker = { Bucket: bucket.name, Key: key, Body: '', ContentLength: 0, ContentType: 'application/x-directory' }
    const { ETag: etag } = await mapErrors(call, 'FOLDER_NOT_FOUND', (options) =>
      condition.write((headers) =>
        bucket.client.send(new bucket.sdk.PutObjectCommand({ ...marker, ...headers }), options)
      )
    )
    requireETag(etag)
    return folderEntry(bucket.keys, id)
  }

  /**
   * Returns a link that is signed locally, without a request, so a missing object is found only when the link is
   * used. S3 cannot send `X-Content-Type-Options: nosniff`; only the disposition makes browsers save the file.
   */
  async downloadUrl(id: string, call: DownloadUrlCall): Promise<DownloadUrl> {
    const bucket = this.#bucket
    const key = bucket.keys.keyOf(id)
    requireFile(id)
    const { expiresInMs, signal } = call
    if (!Number.isFinite(expiresInMs) || expiresInMs < 1000 || expiresInMs > MAX_DOWNLOAD_URL_MS) {
      throw new StorageError('INVALID_REQUEST', `The lifetime of a link must be 1,000 to ${MAX_DOWNLOAD_URL_MS} ms.`)
    }
    const { getSignedUrl } = await importSdk(
      '@aws-sdk/s3-request-presigner',
      () => import('@aws-sdk/s3-request-presigner')
    )
    const command = new bucket.sdk.GetObjectCommand({
      Bucket: bucket.name,
      Key: key,
      ResponseContentDisposition: formatContentDisposition(nameOf(id))
    })
    const expiresIn = Math.floor(expiresInMs / 1000)
    const url = await mapErrors({ signal }, 'OBJECT_NOT_FOUND', () =>
      getSignedUrl(bucket.presignClient, command, { expiresIn })
    )
    return { url, expiresAt: new Date(signedAt(url) + expiresIn * 1000) }
  }

  async account(call: Call): Promise<Account> {
    const bucket = this.#bucket
    await mapErrors(call, 'FOLDER_NOT_FOUND', async (options) => {
      try {
        await bucket.client.send(new bucket.sdk.HeadBucketCommand({ Bucket: bucket.name }), options)
      } catch (error) {
        // Keys for a single folder have no access to the bucket as a whole; the listing decides.
        if (!isServiceException(error, 403)) throw error
      }
    })
    await listFolder(bucket, null, { signal: call.signal, limit: 1 })
    return this.#account
  }
}

/** Returns the time of signing in milliseconds, from `X-Amz-Date` (`20261122T160000Z`). */
function signedAt(url: string): number {
  const date = new URL(url).searchParams.get('X-Amz-Date') ?? ''
  return Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}
