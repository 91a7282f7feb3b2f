import type { RevokeContext } from '../../domain/oauth.ts'
import type { Secret } from '../../domain/secret.ts'
import { readProblem } from '../shared/read-problem.ts'
import { dropboxFailure } from './failure.ts'

/** Error responses are short. */
const MAX_BYTES = 64 * 1024
const WITHIN_MS = 5000

/**
 * Revokes a grant. Dropbox revokes the refresh token from which the access token was issued (`auth/token/revoke`).
 *
 * @param api the origin of the API
 * @throws StorageError if Dropbox does not revoke it; a token that is already invalid is not an error
 */
export async function revokeToken(
  api: string,
  accessToken: Secret<string>,
  { egress, signal }: RevokeContext
): Promise<void> {
  const answer = await egress.request({
    method: 'POST',
    url: new URL('/2/auth/token/revoke', api),
    headers: { authorization: `Bearer ${accessToken.reveal()}`, 'content-type': 'application/json' },
    body: 'null',
    signal,
    maxBytes: MAX_BYTES
  })
  if (answer.status === 200 || answer.status === 401) {
    await answer.discard()
    return
  }
  throw dropboxFailure('POST', answer, await readProblem(answer, WITHIN_MS), 'OBJECT_NOT_FOUND')
}
