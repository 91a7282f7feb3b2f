/**
 * Runs in a process of its own, for `start-up.test.ts`: starts an app with a connection to Google Drive, calls routes
 * that do not need Drive, and then lists Drive. Prints which files of `googleapis` were loaded at each step.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { serialiseTokens } from '../../../src/connections/tokens.ts'
import cloudStorage, { Secret } from '../../../src/index.ts'
import { createCredentialCipher } from '../../../src/crypto/credentials.ts'
import { createKeyRing } from '../../../src/crypto/key-ring.ts'
import { createConnectionStore } from '../../../src/db/connection-store.ts'
import { openDatabase } from '../../../src/db/open-database.ts'
import { googleDrive } from '../../../src/providers/google-drive/index.ts'
import { migratedImage } from '../database/database-image.ts'

export interface DriveProbe {
  readonly statuses: readonly number[]
  /** Paths in the package. */
  readonly before: readonly string[]
  readonly after: readonly string[]
}

const { cache } = createRequire(import.meta.url)
const SDK = '/node_modules/googleapis/'

function loaded(): string[] {
  return Object.keys(cache).flatMap((path) => (path.includes(SDK) ? [path.slice(path.indexOf(SDK) + SDK.length)] : []))
}

const drive = createServer(({ url = '' }, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(url.startsWith('/drive/v3/drives') ? { drives: [] } : { files: [] }))
}).listen(0, '127.0.0.1')
await once(drive, 'listening')
const api = `http://127.0.0.1:${(drive.address() as AddressInfo).port}`
const db = await openDatabase({ image: await migratedImage() })
const encryption = { current: 'k1', keys: { k1: randomBytes(32).toString('base64') } }
const account = { userId: 'ann', provider: 'google_drive', accountId: 'account', label: 'Mine', scopes: [] }
const tokens = { accessToken: new Secret('a'), refreshToken: null, obtainedAt: 0, expiresAt: null }
const cipher = createCredentialCipher(createKeyRing(encryption))
const seal = (id: string) => {
  return cipher.seal(serialiseTokens(tokens), { userId: 'ann', provider: 'google_drive', id })
}
await createConnectionStore(db.prisma).saveConnected(account, seal, 1)

const server = { issuer: api, authorizationEndpoint: `${api}/auth`, tokenEndpoint: `${api}/token` }
const registration = { clientId: 'id', clientSecret: 'secret', allowHosts: [new URL(api).host] }
const app = Fastify({ pluginTimeout: 0 })
await app.register(cloudStorage, {
  prisma: db.prisma,
  authenticate: () => 'ann',
  encryption,
  publicUrl: 'https://app.example.org',
  providers: { google_drive: { provider: googleDrive({ api, server }), ...registration }, s3: true, webdav: true }
})
await app.ready()
const statuses: number[] = []
for (const url of ['/cloud/providers', '/cloud/connections', '/cloud/s3/listing']) {
  statuses.push((await app.inject(url)).statusCode)
}
const before = loaded()
statuses.push((await app.inject('/cloud/google_drive/listing')).statusCode)
const probe: DriveProbe = { statuses, before, after: loaded() }
process.stdout.write(JSON.stringify(probe))
await app.close()
await db.close()
drive.closeAllConnections()
drive.close()
