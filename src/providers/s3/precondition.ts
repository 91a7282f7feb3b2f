import type { Call, UploadCall } from '../../core/backend.ts'
import { StorageError } from '../../errors.ts'
import { readETag } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { unquote } from './entries.ts'
import { isServiceException } from './errors.ts'
import { callS3, type S3Session } from './session.ts'

/** The headers that express the condition of a write. */
export interface ConditionHeaders {
  readonly IfNoneMatch?: '*'
  readonly IfMatch?: string
}

/**
 * The condition of a write on an object.
 *
 * Servers differ (2026-11): AWS checks `If-None-Match` and `If-Match` of every write. Ceph 16 checks only those of a
 * single PUT, not of the completion of a multipart upload, and compares `If-Match` including its quotes. OpenStack
 * Swift answers 412 to every conditional completion, because it compares the condition with an object of its own.
 * Others ignore the headers, or answer 501. A probe would have to write to the user's storage unasked. Therefore, at
 * unknown servers, the condition is checked right before the write, and the headers are sent as well. On servers that
 * ignore or refuse them, one race remains: of two writers between check and write, the later one wins.
 */
export class Precondition {
  readonly #session: S3Session
  readonly #key: string
  readonly #ifMatch: string | undefined
  readonly #ifAbsent: boolean
  readonly #call: Call

  /** @throws StorageError `PRECONDITION_FAILED` */
  constructor(session: S3Session, key: string, call: UploadCall) {
    this.#session = session
    this.#key = key
    this.#ifMatch = call.ifMatch
    this.#ifAbsent = call.ifNoneMatch === '*'
    this.#call = call
    // Other texts cannot be quoted in a header, and are no object's version.
    if (this.#ifMatch !== undefined && readETag(`"${this.#ifMatch}"`) === null) throw this.#failed()
  }

  /**
   * Writes under the condition.
   *
   * @param send writes with these headers; called again if the server does not support them
   * @param isCompletion whether the write completes a multipart upload
   */
  async write<T>(send: (headers: ConditionHeaders) => Promise<T>, isCompletion = false): Promise<T> {
    if (!this.#ifAbsent && this.#ifMatch === undefined) return send({})
    const variants = this.#headerVariants(isCompletion)
    for (let headers = variants.shift(); headers !== undefined; headers = variants.shift()) {
      await this.check()
      try {
        return await send(headers)
      } catch (error) {
        const isUnconditional = Object.keys(headers).length === 0
        if (isUnconditional && isServiceException(error, 'NoSuchUpload')) throw this.#unsupported(error)
        if (!isUnconditional && isServiceException(error, 501) && this.#session.preconditions === 'emulated')
          variants.splice(0, 2, {})
        else if (isUnconditional || !this.#isConditionFailure(error)) throw error
      }
    }
    throw this.#failed()
  }

  /**
   * Checks whether the condition holds, unless the server is known to check it.
   *
   * @throws StorageError `ALREADY_EXISTS`, `PRECONDITION_FAILED`
   */
  async check(): Promise<void> {
    if (this.#session.preconditions === 'native' || (!this.#ifAbsent && this.#ifMatch === undefined)) return
    const { sdk, client, bucket } = this.#session
    const version = await callS3(this.#call, 'OBJECT_NOT_FOUND', async (options) => {
      try {
        const head = await client.send(new sdk.HeadObjectCommand({ Bucket: bucket, Key: this.#key }), options)
        return head.ETag === undefined ? undefined : unquote(head.ETag)
      } catch (error) {
        if (isServiceException(error, 404)) return null
        throw error
      }
    })
    const isMet = this.#ifAbsent ? version === null : version === this.#ifMatch
    if (!isMet) throw this.#failed()
  }

  /**
   * Returns the headers to try, one after the other, while the server answers 412 although the check before each
   * attempt succeeds. A server that compares quotes accepts the second form. One that refuses two completions
   * although the object is unchanged before, between and after them refuses all of them, so the last attempt is
   * unconditional.
   */
  #headerVariants(isCompletion: boolean): ConditionHeaders[] {
    const first: ConditionHeaders = this.#ifAbsent ? { IfNoneMatch: '*' } : { IfMatch: `"${this.#ifMatch}"` }
    const second: ConditionHeaders = this.#ifAbsent ? first : { IfMatch: this.#ifMatch ?? '' }
    if (this.#session.preconditions === 'native') return [first]
    if (isCompletion) return [first, second, {}]
    return this.#ifAbsent ? [first] : [first, second]
  }

  /** Returns whether the condition failed. A missing object matches no version (S3: 404). */
  #isConditionFailure(error: unknown): boolean {
    return isServiceException(error, 412, ...(this.#ifMatch === undefined ? [] : ['NoSuchKey']))
  }

  #unsupported(cause: unknown): StorageError {
    return new StorageError('UNSUPPORTED', 'The server does not support conditions for multipart uploads.', { cause })
  }

  #failed(): StorageError {
    return failure(this.#ifAbsent ? 'ALREADY_EXISTS' : 'PRECONDITION_FAILED')
  }
}
