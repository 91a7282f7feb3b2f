import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { STUB_PRISMA } from '../../../scripts/write-openapi.ts'
import { type AppDeps, buildApp } from '../../../server/app.ts'
import type { AppConfig } from '../../../server/config.ts'
import { Secret } from '../../../src/core/secret.ts'
import { PROVIDERS } from '../../../src/providers/registry.ts'

const DATABASE = {
  prisma: STUB_PRISMA,
  listen: () => Promise.reject(new Error('There is no database'))
} as unknown as AppDeps['database']

/** Returns the configuration of a server with all features, and with dummy secrets. */
function createFullConfig(): AppConfig {
  const key = randomBytes(32).toString('base64')
  const registration = { clientId: 'client', clientSecret: new Secret('secret') }
  const oauthProviders = Object.keys(PROVIDERS).filter((id) => PROVIDERS[id]?.oauth)
  return {
    host: '127.0.0.1',
    port: 0,
    logLevel: 'silent',
    trustProxy: [],
    publicUrl: 'https://app.example.org',
    allowedOrigins: [],
    shutdownTimeoutMs: 1,
    allowHosts: { s3: [], webdav: [], nextcloud: [] },
    registrations: Object.fromEntries(oauthProviders.map((id) => [id, registration])),
    cache: {},
    leaseMs: 0,
    redisUrl: undefined,
    isListenEnabled: false,
    metricsPort: undefined,
    limits: {},
    timeouts: {},
    transfers: {},
    spool: {},
    encryption: new Secret({ current: 'k1', keys: { k1: key } }),
    jwt: { algorithm: 'HS256', key: new Secret(key), issuer: 'https://app.example.org', audience: 'documents' },
    managed: { type: 'disk', directory: tmpdir() }
  }
}

/** Returns the OpenAPI document of the server with all providers, as `GET /openapi.json` sends it. */
export async function describeServer(): Promise<string> {
  const app = buildApp(createFullConfig(), { database: DATABASE })
  try {
    const { statusCode, body } = await app.inject('/openapi.json')
    if (statusCode !== 200) throw new Error(`The server returned no OpenAPI document: ${body}`)
    return `${JSON.stringify(JSON.parse(body), null, 2)}\n`
  } finally {
    await app.close()
  }
}
