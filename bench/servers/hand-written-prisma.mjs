// The hand-written server with connections: a miss reads the user's connection through Prisma, decrypts its
// credentials, fetches the folder from the provider, maps and sorts its items, and stores the listing in an LRU cache
// with a TTL. Fastify serialises JSON for every response. Hits read nothing: a revoked connection is served until the
// TTL ends.
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import { LRUCache } from 'lru-cache'
import { openDatabase } from '../../dist/db/open-database.js'
import { fetchFolder, toEntry } from '../entries.mjs'
import { userOf } from '../users.mjs'
import { authenticateAll, serve, settings } from './serve.mjs'

const KEY = Buffer.alloc(32, 'k')
const cache = new LRUCache({ max: 1000, ttl: 60_000 })
const names = new Intl.Collator('en', { numeric: true })
const { prisma } = await openDatabase({ url: settings.databaseUrl })

function encrypt(credentials, connectionId) {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', KEY, iv).setAAD(Buffer.from(connectionId))
  const bytes = [iv, cipher.update(JSON.stringify(credentials), 'utf8'), cipher.final(), cipher.getAuthTag()]
  return Buffer.concat(bytes).toString('base64url')
}

function decrypt(sealed, connectionId) {
  const bytes = Buffer.from(sealed, 'base64url')
  const decipher = createDecipheriv('aes-256-gcm', KEY, bytes.subarray(0, 12)).setAAD(Buffer.from(connectionId))
  decipher.setAuthTag(bytes.subarray(-16))
  return JSON.parse(decipher.update(bytes.subarray(12, -16), undefined, 'utf8') + decipher.final('utf8'))
}

function foldersFirst(a, b) {
  return Number(b.kind === 'folder') - Number(a.kind === 'folder') || names.compare(a.name, b.name)
}

async function load(userId, provider, folderId) {
  const connection = await prisma.cloudConnection.findFirst({ where: { userId, provider, isDefault: true } })
  if (connection?.status !== 'ACTIVE') return null
  const { account } = decrypt(connection.credentials, connection.id)
  const { folder, items } = await fetchFolder(account, folderId)
  return {
    provider,
    connectionId: connection.id,
    folder,
    entries: items.map(toEntry).sort(foldersFirst),
    page: { next: null, complete: true, reason: null, order: 'folder-then-name' }
  }
}

async function connectUsers() {
  for (let index = 0; index < settings.users; index += 1) {
    const [id, userId] = [randomUUID(), userOf(index)]
    const account = { accountId: userId, label: userId, credentials: encrypt({ account: userId }, id) }
    await prisma.cloudConnection.create({ data: { id, userId, provider: 'bench', isDefault: true, ...account } })
  }
}

// The load generator keeps connections that wait for minutes between rounds.
const app = Fastify({ keepAliveTimeout: 0 })
authenticateAll(app)
app.get('/cloud/:provider/listing', async (request, reply) => {
  const { provider } = request.params
  const { folder } = request.query
  const key = `${request.user}:${provider}:${folder}`
  let listing = cache.get(key)
  if (listing === undefined) {
    listing = await load(request.user, provider, folder)
    if (listing === null) return reply.code(404).send({ error: 'no connection' })
    cache.set(key, listing)
  }
  return reply.header('cache-control', 'private, no-cache').send(listing)
})
await serve(app, { ready: connectUsers })
