// The published plugin, with a provider that generates its folders, on the embedded database unless the settings name
// another one. Options are the defaults except for `settings.cache`. `settings.providers` are the ids of the providers,
// by default `bench`. `covered` and `checked` have a feed in which nothing ever changes. With `settings.hasBareRoutes` the
// process has the routes of `bare.mjs`, too.
import Fastify from 'fastify'
import cloudStorage, { defineProvider, Secret } from '../../dist/index.js'
import { openDatabase } from '../../dist/db/open-database.js'
import { fetchFolder, toEntry } from '../entries.mjs'
import { BARE_PATHS } from '../http/cases.mjs'
import { authorizationOf, userOf } from '../users.mjs'
import { authenticate, bareRoutes, serve, settings } from './serve.mjs'

/** Users that are connected at the same time. */
const CONNECTING = 16

const unsupported = ['rangeDownload', 'upload', 'createOnly', 'updateIfMatch', 'remove', 'createFolder', 'downloadUrl']
const isCovered = (id) => id === 'covered' || id === 'checked'
const capabilitiesOf = (id) => ({
  changes: isCovered(id) ? 'native' : 'unsupported',
  paging: 'native',
  kindFilter: 'native',
  ...Object.fromEntries(unsupported.map((ability) => [ability, 'unsupported']))
})
const feed = {
  position: async () => 'now',
  changes: async () => ({ position: 'now', changes: [], hasMore: false })
}

const backendOf = (id, account) => ({
  provider: id,
  capabilities: capabilitiesOf(id),
  listFolder: async (folderId) => {
    const { folder, items } = await fetchFolder(account, folderId)
    const freshness = isCovered(id) ? { scope: '' } : null
    return { folder, entries: items.map(toEntry), next: null, complete: true, reason: null, freshness }
  },
  ...(isCovered(id) && feed),
  account: async () => ({ id: account, name: account, email: null, quota: null })
})

const providerOf = (id) =>
  defineProvider({
    id,
    label: 'Benchmark',
    capabilities: capabilitiesOf(id),
    connect: {
      type: 'credentials',
      schema: {
        type: 'object',
        additionalProperties: false,
        required: ['account'],
        properties: { account: { type: 'string', title: 'Account' } }
      },
      parse: ({ account }) => ({ credentials: new Secret({ account }), accountId: account, label: account })
    },
    open: async ({ credentials }) => backendOf(id, credentials.reveal().account)
  })

const providers = settings.providers ?? ['bench']
const db = await openDatabase({ url: settings.databaseUrl })
// The load generator keeps connections that wait for minutes between rounds.
const app = Fastify({ keepAliveTimeout: 0 })
let setResponses
if (settings.hasBareRoutes) {
  // In a scope of its own, and before the plugin, so that none of the plugin's hooks applies.
  await app.register(async (scope) => {
    setResponses = bareRoutes(scope, BARE_PATHS)
  })
}
await app.register(cloudStorage, {
  prisma: db.prisma,
  authenticate,
  encryption: { current: 'k1', keys: { k1: Buffer.alloc(32, 'k').toString('base64') } },
  providers: Object.fromEntries(providers.map((id) => [id, providerOf(id)])),
  ...(settings.cache && { cache: settings.cache })
})

/** Connects users over the network, like all other requests: calls of `inject` would influence the compiler. */
async function connectUsers(port) {
  let next = 0
  const work = async () => {
    while (next < settings.users) {
      const index = next
      next += 1
      for (const id of providers) await connectUser(port, id, index)
    }
  }
  await Promise.all(Array.from({ length: CONNECTING }, work))
}

async function connectUser(port, id, index) {
  const answer = await fetch(`http://127.0.0.1:${port}/cloud/connections/${id}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: authorizationOf(index) },
    body: JSON.stringify({ account: userOf(index) })
  })
  const text = await answer.text()
  if (answer.status !== 201) throw new Error(`connecting returned ${answer.status}: ${text}`)
}

await serve(app, { ready: connectUsers, setResponses })
