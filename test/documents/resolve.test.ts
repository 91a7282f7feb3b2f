import { randomBytes } from 'node:crypto'
import t from 'tap'
import type { SealedConnection } from '../../src/core/connection.ts'
import type { StoredDocument } from '../../src/core/document.ts'
import { isStorageError, StorageError } from '../../src/errors.ts'
import { defineProvider } from '../../src/core/provider.ts'
import { Secret } from '../../src/core/secret.ts'
import { createCredentialCipher } from '../../src/crypto/credentials.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { ConnectionOpener } from '../../src/connections/open.ts'
import { ProviderCatalog } from '../../src/connections/provider-catalog.ts'
import { RefreshCoordinator } from '../../src/connections/tokens.ts'
import { createDocumentResolver } from '../../src/documents/resolve.ts'
import { ConnectionHealth } from '../../src/layers/health.ts'
import { NO_TRACING } from '../../src/telemetry/tracing.ts'
import { MinuteLimit } from '../../src/core/user-limits.ts'
import { createTestConnections } from '../support/database/connections.ts'
import { openEgress } from '../support/backend/egress.ts'
import { MemoryConnections } from '../support/database/memory-connections.ts'
import { ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { TEST_SPOOL } from '../support/backend/spool.ts'
import { ManualClock } from '../support/time/clock.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'

const cipher = createCredentialCipher(
  createKeyRing({ current: 'k1', keys: { k1: randomBytes(32).toString('base64') } })
)

function make() {
  const clock = new ManualClock()
  const connections = new MemoryConnections()
  const managedBackend = new ScriptedBackend()
  const counts = { managed: 0, imported: 0, resealed: new Array<string>() }
  const opened: unknown[] = []
  const users: unknown[] = []
  const provider = defineProvider({
    id: 'scripted',
    label: 'Scripted',
    capabilities: managedBackend.capabilities,
    connect: {
      type: 'credentials',
      schema: { type: 'object', properties: {} },
      parse: () => ({ credentials: new Secret({}), accountId: 'a', label: 'l' })
    },
    open: async ({ credentials, userId }) => {
      users.push(userId)
      opened.push(credentials.reveal())
      if (credentials.reveal() === 'broken') throw new Error('Bearer SECRET')
      return new ScriptedBackend()
    }
  })
  const providers = new ProviderCatalog(
    new Map([
      [
        'scripted',
        {
          egress: openEgress(),
          oauth: undefined,
          load: async () => {
            counts.imported += 1
            return provider
          }
        }
      ]
    ]),
    TEST_TIMEOUTS
  )
  const noOAuth = (): never => {
    throw new Error('no OAuth here')
  }
  const opener = new ConnectionOpener({
    cipher,
    providers,
    clock,
    tracing: NO_TRACING,
    health: new ConnectionHealth(clock),
    failedAttempts: new MinuteLimit(5, 'too many', clock),
    tokens: { refreshes: new RefreshCoordinator({ refresh: noOAuth }, clock), clock, random: noOAuth },
    spool: TEST_SPOOL,
    reseal: (connection) => {
      counts.resealed.push(connection.id)
    },
    requireReauth: async () => {}
  })
  const resolve = createDocumentResolver(
    new Map([
      [
        'minio',
        async () => {
          counts.managed += 1
          if (counts.managed === 1) throw new StorageError('SDK_MISSING', 'not installed')
          return managedBackend
        }
      ]
    ]),
    createTestConnections({ store: connections, providers, opener, clock })
  )
  const connect = (over: Partial<SealedConnection> = {}, credentials: unknown = { token: 't' }): SealedConnection => {
    const row = connections.add(over)
    const sealed = { ...row, sealedCredentials: cipher.seal(new Secret(credentials), row) }
    connections.rows.set(row.id, sealed)
    return sealed
  }
  const codeOf = async (over: Partial<StoredDocument>, user = 'ann') => {
    try {
      await resolve(document(over), { id: user })
      return 'opened'
    } catch (error) {
      return isStorageError(error) ? error.code : error
    }
  }
  return { clock, connections, counts, opened, users, resolve, connect, codeOf, managedBackend, opener }
}

function document(over: Partial<StoredDocument> = {}): StoredDocument {
  return { id: 'd1', userId: 'ann', storageBackend: 'scripted', objectKey: 'k', ...over }
}

t.test('a managed document needs no database and opens its store once; a failure is not remembered', async (t) => {
  const { codeOf, counts, connections, resolve, managedBackend } = make()
  t.equal(await codeOf({ storageBackend: 'minio' }), 'SDK_MISSING')
  const both = [1, 2].map(() => resolve(document({ storageBackend: 'minio' }), { id: 'ann' }))
  t.same(await Promise.all(both), [managedBackend, managedBackend], 'two concurrent first uses open one store')
  t.equal(await codeOf({ storageBackend: 'minio' }), 'opened')
  t.equal(counts.managed, 2)
  t.equal(counts.imported, 0)
  t.same(connections.reads, [])
})

t.test('an unexpected error of the database after a call is PROVIDER_ERROR, without its message', async (t) => {
  const { clock, connect, connections, resolve } = make()
  connect()
  const backend = await resolve(document(), { id: 'ann' })
  clock.tick(60_000)
  const broken = () => Promise.reject(new Error('SECRET'))
  Object.assign(connections, { find: broken, findSealed: broken })
  const call = { signal: new AbortController().signal }
  const withoutMessage = { code: 'PROVIDER_ERROR', message: /^((?!SECRET).)*$/ }
  await t.rejects(backend.stat('a', call), withoutMessage)
  await t.rejects(backend.listFolder(null, { ...call, limit: 1 }), withoutMessage)
})

t.test('a document is opened for its owner only', async (t) => {
  const { codeOf, connect, connections, opened } = make()
  connect()
  for (const storageBackend of ['minio', 'scripted']) {
    t.equal(await codeOf({ storageBackend }, 'bob'), 'DOCUMENT_NOT_FOUND')
    t.equal(await codeOf({ storageBackend, userId: '' }, ''), 'DOCUMENT_NOT_FOUND')
  }
  t.same(connections.reads, [])
  t.same(opened, [])
})

t.test('a missing or foreign connection, or one of another provider, is CONNECTION_MISSING', async (t) => {
  const { codeOf, connect } = make()
  t.equal(await codeOf({}), 'CONNECTION_MISSING')
  const foreign = connect({ userId: 'bob' })
  t.equal(await codeOf({ connectionId: foreign.id }), 'CONNECTION_MISSING')
  t.equal(await codeOf({ connectionId: 'none' }), 'CONNECTION_MISSING')
  const other = connect({ provider: 'other' })
  t.equal(await codeOf({ connectionId: other.id }), 'CONNECTION_MISSING')
  t.equal(await codeOf({ storageBackend: 'nowhere' }), 'PROVIDER_UNKNOWN')
  t.equal(await codeOf({ storageBackend: '__proto__' }), 'PROVIDER_UNKNOWN')
})

t.test('a connection that is not ACTIVE is refused before decryption and import', async (t) => {
  for (const status of ['DISABLED', 'ERROR', 'REQUIRES_REAUTH'] as const) {
    const { codeOf, connections, counts } = make()
    const { id } = connections.add({ status, sealedCredentials: 'cannot be opened' })
    t.equal(await codeOf({}), 'CONNECTION_INACTIVE')
    t.equal(await codeOf({ connectionId: id }), 'CONNECTION_INACTIVE')
    t.equal(counts.imported, 0)
  }
})

t.test('of several connections the one with the id is opened, or the default', async (t) => {
  const { codeOf, connect, connections, opened } = make()
  const one = connect({}, 'one')
  const two = connect({}, 'two')
  t.equal(await codeOf({}), 'CONNECTION_AMBIGUOUS')
  t.equal(await codeOf({ connectionId: one.id }), 'opened')
  connections.change(two.id, { isDefault: true })
  t.equal(await codeOf({ connectionId: null }), 'opened')
  t.same(opened, ['one', 'two'])
})

t.test('a provider receives the user of a stored connection, for limits per user', async (t) => {
  const { codeOf, connect, users } = make()
  connect()
  t.equal(await codeOf({}), 'opened')
  t.same(users, ['ann'])
})

t.test('an opened connection is cached until its row has other credentials or another owner', async (t) => {
  const { codeOf, connect, connections, opened } = make()
  const row = connect({}, 'one')
  const other = connect({ userId: 'bob' }, 'theirs')
  t.equal(await codeOf({ connectionId: row.id }), 'opened')
  t.equal(await codeOf({ connectionId: row.id }), 'opened')
  t.same(opened, ['one'])

  connections.change(row.id, { sealedCredentials: other.sealedCredentials })
  t.equal(await codeOf({ connectionId: row.id }), 'CREDENTIALS_UNREADABLE')
  connections.change(row.id, { sealedCredentials: row.sealedCredentials, userId: 'bob' })
  t.equal(await codeOf({ connectionId: row.id, userId: 'bob' }, 'bob'), 'CREDENTIALS_UNREADABLE')
  for (const text of ['{"token":"plain"}', '', row.sealedCredentials.slice(0, -4)]) {
    connections.change(row.id, { sealedCredentials: text, userId: 'ann' })
    t.equal(await codeOf({ connectionId: row.id }), 'CREDENTIALS_UNREADABLE')
  }
  t.same(opened, ['one'])
})

t.test('a forgotten connection is opened again', async (t) => {
  const { codeOf, connect, opened, opener } = make()
  const { id } = connect()
  await codeOf({})
  opener.forget(id)
  await codeOf({})
  t.equal(opened.length, 2)
})

t.test('an exception of a provider that opens is mapped to a code, and its text is hidden', async (t) => {
  const { connect, resolve } = make()
  connect({}, 'broken')
  await t.rejects(resolve(document(), { id: 'ann' }), { code: 'PROVIDER_ERROR', message: /^((?!SECRET).)*$/ })
})
