import type { HttpAnswer } from '../../domain/egress.ts'
import type { Entry } from '../../domain/entry.ts'
import { isStorageError, StorageError } from '../../domain/errors.ts'
import type { UploadCall } from '../../domain/storage-backend.ts'
import { failure, httpFailure } from '../shared/http-failure.ts'
import type { UploadSource } from '../shared/upload-source.ts'
import { failedPrecondition, find, preconditionHeaders } from './precondition.ts'
import { type DavServer, look } from './server.ts'

/** Stores a stream in one PUT, as chunks where its size is not known. @param id of a file */
export async function uploadFile(
  server: DavServer,
  id: string,
  mimeType: string | undefined,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  const { client, paths } = server
  const { signal, size } = call
  const url = paths.urlOf(id)
  const conditions = await preconditionHeaders(server, url, call)
  const sending = client.send({
    method: 'PUT',
    url,
    signal,
    purpose: 'transfer',
    body: source.stream,
    headers: {
      'content-type': mimeType ?? 'application/octet-stream',
      ...(size !== undefined && { 'content-length': String(size) }),
      ...conditions
    }
  })
  const answer = await sending.catch((error: unknown) => unlessFolder(server, url, error, call))
  await answer.discard()
  if (![200, 201, 204].includes(answer.status)) throw await uploadFailure(server, url, answer, call)
  call.onStored?.(answer.status === 201)
  const { resource, facts } = await look(server, url, call, 'OBJECT_NOT_FOUND')
  // Proxies and gateways have been seen to swallow bodies of unknown length, and to answer 201.
  if (facts.size !== null && facts.size !== source.count) {
    throw failure('PROVIDER_ERROR', `The server stored ${facts.size} bytes of ${source.count}`)
  }
  return server.toEntry(id, resource, facts)
}

/** Servers lead to a folder whose slash is missing, and a redirect of a PUT is not followed. */
async function unlessFolder(server: DavServer, url: URL, error: unknown, call: UploadCall): Promise<never> {
  if (isStorageError(error, 'PROVIDER_ERROR')) {
    const inTheWay = await find(server, url, call).catch(() => null)
    if (inTheWay?.facts.isCollection === true) throw isAFolder()
  }
  throw error
}

function isAFolder(): StorageError {
  return new StorageError('ALREADY_EXISTS', 'There is a folder of this name already.')
}

/** What a refused PUT means: RFC 4918 has one status for a missing folder and others for what is in the way. */
async function uploadFailure(server: DavServer, url: URL, answer: HttpAnswer, call: UploadCall): Promise<StorageError> {
  const { status } = answer
  if (status === 412) return failedPrecondition(call)
  if (status === 404 || status === 405 || status === 409) {
    const inTheWay = await find(server, url, call)
    if (inTheWay?.facts.isCollection === true) return isAFolder()
    if (status !== 405) return failure('FOLDER_NOT_FOUND')
  }
  return httpFailure('PUT', answer, 'FOLDER_NOT_FOUND')
}
