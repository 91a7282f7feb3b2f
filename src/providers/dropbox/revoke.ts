import type { RevokeContext } from '../../domain/oauth.ts'
import type { Secret } from '../../domain/secret.ts'
import { readProblem } from '../shared/read-problem.ts'
import { dropboxFailure } from './failure.ts'

/** An answer that says no is short. */
const MAX_BYTES = 64 * 1024
const WITHIN_MS = 5000

/**
 * Ends a grant: with an access token Dropbox ends the refresh token that it was made of (`auth/token/revoke`).
 *
 * @param api the origin of the API
 * @throws StorageError where Dropbox does not end it; a token that it does not take any more is no error
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
