import type { Test } from 'tap'
import type { CloudStorageOptions, ConnectionEvent } from '../../../src/index.ts'
import type { PrismaLike } from '../../../src/db/prisma-client.ts'
import { encryption, testApp } from '../app/app.ts'
import { emptyDatabase } from '../database/database.ts'
import { FAKE_CLIENT_SECRET, type FakeOAuthOptions } from '../../fakes/oauth/rules.ts'
import { FakeOAuth } from '../../fakes/oauth/fake-oauth.ts'
import { startOAuthCloud } from '../app/oauth-cloud.ts'
import { cloudOptions, listingPath } from './cloud.ts'
import { RefreshRows } from './rows.ts'

export interface RefreshAppOptions {
  readonly oauth?: FakeOAuthOptions
  readonly app?: Partial<CloudStorageOptions>
  /** Runs each statement separately. The embedded database has one session, which a refresh would otherwise lock. */
  readonly isInterleaved?: boolean
}

/** The whole plugin with the provider `cloud`, its fake servers, and all log lines. */
export async function refreshApp(t: Test, { oauth: rules, app, isInterleaved = false }: RefreshAppOptions = {}) {
  const oauth = await FakeOAuth.start(t, rules)
  const cloud = await startOAuthCloud(t, oauth)
  const { prisma } = await emptyDatabase()
  const events: ConnectionEvent[] = []
  const logLines: string[] = []
  const base = await testApp(
    t,
    {
      ...cloudOptions({ id: 'cloud', issuer: oauth.url, origin: cloud.origin }),
      onConnectionChange: (event) => events.push(event),
      ...(isInterleaved && { prisma: withoutTransactions(prisma) }),
      ...app
    },
    { logger: { level: 'debug', stream: { write: (line: string) => logLines.push(line) } } }
  )
  const rows = new RefreshRows(prisma, app?.encryption ?? encryption)
  const isSecret = (text: string): boolean =>
    ['SECRET', FAKE_CLIENT_SECRET, encodeURIComponent(FAKE_CLIENT_SECRET), ...cloud.tokens]
      .concat(oauth.grants.flatMap(({ accessToken, refreshToken }) => [accessToken, refreshToken ?? 'SECRET']))
      .concat(oauth.calls.token.map(({ params }) => params['refresh_token'] ?? 'SECRET'))
      .some((secret) => text.includes(secret))
  return {
    ...base,
    oauth,
    cloud,
    rows,
    events,
    lines: logLines,
    list: (query = '', user = 'ann') => base.as(user).get(listingPath('cloud') + query),
    /** Returns whether a response or the log contains a token, or text from upstream. */
    hasLeaked: (...bodies: string[]): boolean => [...bodies, ...logLines].some(isSecret)
  }
}

function withoutTransactions(prisma: Awaited<ReturnType<typeof emptyDatabase>>['prisma']): PrismaLike {
  return {
    cloudConnection: prisma.cloudConnection,
    oAuthState: prisma.oAuthState,
    $queryRaw: (query, ...values) => prisma.$queryRaw(query, ...values),
    $executeRaw: (query, ...values) => prisma.$executeRaw(query, ...values),
    $transaction: (work) => work(prisma)
  }
}
