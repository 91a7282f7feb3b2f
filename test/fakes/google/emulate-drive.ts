import type { Test } from 'tap'
import { Secret } from '../../../src/core/secret.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { googleDrive } from '../../../src/providers/google-drive/index.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { startProxy, type ProxiedRequest } from './emulate-proxy.ts'
import { GOOGLE_ISSUER } from './emulate-seed.ts'
import type { EmulatedGoogle } from './emulate.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'

export interface EmulatedDrive {
  readonly backend: StorageBackend
  /** The requests that the emulated Drive received. */
  readonly requests: ProxiedRequest[]
}

/**
 * The backend on the Drive of the emulated Google. The emulator has no shared drives: the front responds that there
 * are none.
 * It cannot test: the validity of bearer tokens; the mask `fields` (it sends all that it has, without `version`,
 * `md5Checksum` and `capabilities`); `corpora`, `spaces` and the flags for shared drives; folders before files (of
 * `orderBy` it supports only `name`); the expiry of page tokens; the root as an item with its own ID; ranges and
 * sizes of downloads; exports, shortcuts, resource keys, the trash, upload sessions, `about`.
 */
export async function openEmulatedDrive(t: Test, google: EmulatedGoogle): Promise<EmulatedDrive> {
  const requests: ProxiedRequest[] = []
  const api = await startProxy(t, google.url, {
    respondInstead: (request) => {
      requests.push(request)
      if (request.url.pathname !== '/drive/v3/drives') return undefined
      return { status: 200, json: { kind: 'drive#driveList', drives: [] } }
    }
  })
  const anyToken = async () => new Secret('any token will do')
  const egress = openEgress()
  t.teardown(() => egress.close())
  const { authorizationEndpoint, tokenEndpoint } = google
  const provider = googleDrive({ api, server: { issuer: GOOGLE_ISSUER, authorizationEndpoint, tokenEndpoint } })
  const accessTokens = { current: anyToken, renewed: anyToken }
  return {
    backend: await provider.open({ accessTokens, egress, timeouts: TEST_TIMEOUTS, spool: TEST_SPOOL }),
    requests
  }
}
