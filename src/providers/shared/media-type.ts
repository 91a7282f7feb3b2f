import { StorageError } from '../../domain/errors.ts'

/** RFC 6838, 4.2, with parameters. The value is sent as a header. */
const MEDIA_TYPE = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}(?:\s?;[\x20-\x7e]{0,255})?$/

/** Validates a media type. @throws StorageError `INVALID_REQUEST` if it cannot be the type of an upload */
export function requireMediaType(mimeType: string | undefined): void {
  if (mimeType !== undefined && !MEDIA_TYPE.test(mimeType)) {
    throw new StorageError('INVALID_REQUEST', 'This is not a valid media type.')
  }
}
