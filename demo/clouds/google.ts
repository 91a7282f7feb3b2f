import { googleDrive } from '../../src/providers/google-drive/index.ts'
import type { OwnProviderOptions } from '../../src/options/providers.ts'
import { FakeDrive } from '../../test/fakes/drive/fake-drive.ts'
import { DRIVE_SCOPE } from '../../test/fakes/drive/view.ts'
import { GOOGLE_CLIENT } from '../../test/fakes/google/emulate-seed.ts'
import { GoogleTokens } from '../../test/fakes/google/emulate-tokens.ts'
import { EmulatedGoogle } from '../../test/fakes/google/emulate.ts'
import type { Lifetime } from '../../test/fakes/lifetime.ts'
import type { Clock } from '../../src/core/time.ts'
import { fillDrive } from '../content/drive.ts'
import { GoogleColleague } from './google-colleague.ts'
import { GoogleFaults } from './google-faults.ts'

/** The account on the consent page, beside a test user of `emulate`. All accounts see the same Drive. */
export const GOOGLE_ACCOUNT = { email: 'demo@example.org', name: 'Demo Example' } as const

/**
 * An emulated Google in two parts: the package `emulate` provides sign-in and consent, and a strict fake provides
 * Drive. The fake accepts exactly the access tokens that `emulate` has issued.
 */
export interface DemoGoogle {
  /** The provider options of the server. */
  readonly provider: OwnProviderOptions
  readonly emulated: EmulatedGoogle
  readonly drive: FakeDrive
  readonly tokens: GoogleTokens
  readonly faults: GoogleFaults
  /** Another client of the same Drive. */
  readonly colleague: GoogleColleague
}

export interface GoogleOptions {
  /** The redirect URI of the server. */
  readonly redirectUri: string
  readonly clock: Pick<Clock, 'now'>
}

export async function startGoogle(lifetime: Lifetime, { redirectUri, clock }: GoogleOptions): Promise<DemoGoogle> {
  const emulated = await EmulatedGoogle.start(lifetime, { redirectUris: [redirectUri], users: [GOOGLE_ACCOUNT] })
  const tokens = await GoogleTokens.start(lifetime, emulated)
  const drive = await FakeDrive.start(lifetime, { authorize: (bearer) => tokens.check(bearer) })
  fillDrive(drive.tree)
  const { server } = tokens
  const origins = [drive.url, server.tokenEndpoint]
  return {
    provider: {
      provider: googleDrive({ api: drive.url, server }),
      ...GOOGLE_CLIENT,
      // Full access: with a read-only scope, half of the picker would be disabled.
      scopes: [DRIVE_SCOPE],
      allowHosts: origins.map((url) => new URL(url).host)
    },
    emulated,
    drive,
    tokens,
    faults: new GoogleFaults({ emulated, drive, tokens, clock }),
    colleague: new GoogleColleague(drive.tree)
  }
}
