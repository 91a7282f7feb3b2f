import type { Readable } from 'node:stream'
import {
  type Account,
  type Call,
  type Capabilities,
  type Download,
  type DownloadCall,
  type DownloadUrl,
  type DownloadUrlCall,
  type ListCall,
  MAX_DOWNLOAD_URL_MS,
  type StorageBackend,
  type UploadCall,
  type UploadTarget
} from '../../core/backend.ts'
import { type Entry, type EntryPage, formatContentDisposition } from '../../core/entry.ts'
import { defineProvider, type ManagedS3Options, type TypedProvider } from '../../core/provider.ts'
import type { Timeouts } from '../../core/stores.ts'
import { StorageError } from '../../errors.ts'
import { failure } from '../shared/errors.ts'
import { importSdk } from '../shared/backend.ts'
import { nameOf } from '../shared/names.ts'
import { exists, requireMediaType, uploadFrom } from '../shared/upload.ts'
import { connect, readCredentials } from './connect.ts'
import { downloadFile, requireFile } from './download.ts'
import { fileEntry, folderEntry, Keys } from './entries.ts'
import { isServiceException } from './errors.ts'
import { folderExists, listFolder } from './list.ts'
import { Precondition } from './precondition.ts'
import { callS3, managedAgents, type OpenOptions, openSession, type Preconditions, type S3Session } from './session.ts'
import { endpointsOf, readSettings, type S3Settings } from './settings.ts'
import { requireETag, uploadFile } from './upload.ts'

/** A connection's prefix makes keys longer; the backend checks the whole key. */
const KEYS = new Keys('')

/** Buckets of users, at AWS or at any S3-compatible server. */
export const provider: TypedProvider = defineProvider({
  id: 's3',
  label: 'S3-compatible storage',
  capabilities: capabilitiesFor('emulated'),
  connect,
  checkFolderId: (id) => void KEYS.prefixOf(id),
  async open({ credentials, egress, timeouts }) {
    const settings = readCredentials(credentials)
    for (const endpointUrl of endpointsOf(settings)) egress.assertAllowed(endpointUrl)
    return openS3(settings, { agents: egress.agents, transferAgents: egress.transferAgents, timeouts })
  }
})

/**
 * Opens the host's own bucket, to which no egress rule applies.
 *
 * @throws InvalidSettingError for an invalid configuration
 */
export async function openManaged(
  options: ManagedS3Options,
  { timeouts }: { readonly timeouts: Timeouts }
): Promise<StorageBackend> {
  const { endpoint, publicEndpoint, region, bucket, prefix, credentials, forcePathStyle } = options
  const settings = readSettings({ endpoint, publicEndpoint, region, bucket, prefix, forcePathStyle, ...credentials })
  return openS3(settings, { ...managedAgents(), timeouts })
}

/** Opens a bucket without a request: a missing bucket is reported by its first use, or by `account()`. */
export async function openS3(settings: S3Settings, options: OpenOptions): Promise<StorageBackend> {
  return new S3Backend(await openSession(settings, options))
}

function capabilitiesFor(preconditions: Preconditions): Capabilities {
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
    downloadUrl: 'native',
    changes: 'unsupported'
  }
}

/**
 * A bucket, or one folder of it. Keys with a common prefix up to a `/` are in one folder. An empty folder is
 * represented by a marker object with a key that ends with `/`. Uploads do not require an existing folder.
 */
class S3Backend implements StorageBackend {
  readonly provider = 's3'
  readonly capabilities: Capabilities
  readonly #session: S3Session

  constructor(session: S3Session) {
    this.#session = session
    this.capabilities = capabilitiesFor(session.preconditions)
  }

  async listFolder(folderId: string | null, call: ListCall): Promise<EntryPage> {
    return listFolder(this.#session, folderId, call)
  }

  async stat(id: string, call: Call): Promise<Entry> {
    const session = this.#session
    const key = session.keys.keyOf(id)
    if (id.endsWith('/')) {
      if (await folderExists(session, id, call)) return folderEntry(session.keys, id)
      throw failure('OBJECT_NOT_FOUND')
    }
    const head = await callS3(call, 'OBJECT_NOT_FOUND', (options) =>
      session.client.send(new session.sdk.HeadObjectCommand({ Bucket: session.bucket, Key: key }), options)
    )
    if (head.ETag === undefined && head.LastModified === undefined)
      throw failure('PROVIDER_ERROR', 'S3 returned 200 without an object')
    return fileEntry(session.keys, id, {
      size: head.ContentLength,
      modified: head.LastModified,
      etag: head.ETag,
      storageClass: head.StorageClass,
      restore: head.Restore,
      mimeType: head.ContentType
    })
  }

  async download(id: string, call: DownloadCall): Promise<Download> {
    return downloadFile(this.#session, id, call)
  }

  async upload(target: UploadTarget, body: Readable, call: UploadCall): Promise<Entry> {
    return uploadFrom(body, call, async (source) => {
      const id = 'id' in target ? target.id : this.#session.keys.childId(target.parentId, target.name)
      if (id.endsWith('/')) throw new StorageError('INVALID_REQUEST', 'An upload cannot replace a folder.')
      requireMediaType(target.mimeType)
      const { onStored } = call
      const existedBefore = onStored && (await exists(() => this.stat(id, call)))
      const entry = await uploadFile(this.#session, id, target.mimeType, source, call)
      if (existedBefore !== undefined) onStored?.(!existedBefore)
      return entry
    })
  }

  async remove(id: string, call: Call): Promise<void> {
    const session = this.#session
    const key = session.keys.keyOf(id)
    if (id.endsWith('/')) throw new StorageError('INVALID_REQUEST', 'Only files can be removed.')
    await callS3(call, 'OBJECT_NOT_FOUND', async (options) => {
      try {
        await session.client.send(new session.sdk.DeleteObjectCommand({ Bucket: session.bucket, Key: key }), options)
      } catch (error) {
        if (!isServiceException(error, 'NoSuchKey')) throw error
      }
    })
  }

  async createFolder(parentId: string | null, name: string, call: Call): Promise<Entry> {
    const session = this.#session
    const id = `${session.keys.childId(parentId, name)}/`
    const key = session.keys.keyOf(id)
    if (await folderExists(session, id, call)) throw failure('ALREADY_EXISTS')
    const condition = new Precondition(session, key, { ...call, ifNoneMatch: '*' })
    const marker = {
      Bucket: session.bucket,
      Key: key,
      Body: '',
      ContentLength: 0,
      ContentType: 'application/x-directory'
    }
    const { ETag: etag } = await callS3(call, 'FOLDER_NOT_FOUND', (options) =>
      condition.write((headers) =>
        session.client.send(new session.sdk.PutObjectCommand({ ...marker, ...headers }), options)
      )
    )
    requireETag(etag)
    return folderEntry(session.keys, id)
  }

  /**
   * Returns a link that is signed locally, without a request, so a missing object is found only when the link is
   * used. S3 cannot send `X-Content-Type-Options: nosniff`; only the disposition makes browsers save the file.
   */
  async downloadUrl(id: string, call: DownloadUrlCall): Promise<DownloadUrl> {
    const session = this.#session
    const key = session.keys.keyOf(id)
    requireFile(id)
    const { expiresInMs, signal } = call
    if (!Number.isFinite(expiresInMs) || expiresInMs < 1000 || expiresInMs > MAX_DOWNLOAD_URL_MS) {
      throw new StorageError('INVALID_REQUEST', `The lifetime of a link must be 1,000 to ${MAX_DOWNLOAD_URL_MS} ms.`)
    }
    const { getSignedUrl } = await importSdk('@aws-sdk/s3-request-presigner', import('@aws-sdk/s3-request-presigner'))
    const command = new session.sdk.GetObjectCommand({
      Bucket: session.bucket,
      Key: key,
      ResponseContentDisposition: formatContentDisposition(nameOf(id))
    })
    const expiresIn = Math.floor(expiresInMs / 1000)
    const url = await callS3({ signal }, 'OBJECT_NOT_FOUND', () =>
      getSignedUrl(session.presignClient, command, { expiresIn })
    )
    return { url, expiresAt: new Date(signedAt(url) + expiresIn * 1000) }
  }

  async account(call: Call): Promise<Account> {
    const session = this.#session
    await callS3(call, 'FOLDER_NOT_FOUND', async (options) => {
      try {
        await session.client.send(new session.sdk.HeadBucketCommand({ Bucket: session.bucket }), options)
      } catch (error) {
        // Keys for a single folder have no access to the bucket as a whole; the listing decides.
        if (!isServiceException(error, 403)) throw error
      }
    })
    await listFolder(session, null, { signal: call.signal, limit: 1 })
    return session.account
  }
}

/** Returns the time of signing in milliseconds, from `X-Amz-Date` (`20261122T160000Z`). */
function signedAt(url: string): number {
  const date = new URL(url).searchParams.get('X-Amz-Date') ?? ''
  return Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}
