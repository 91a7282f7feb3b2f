// The published plugin, with a provider that generates its folders, on the embedded database unless the settings name
// another one. Options are the defaults except for `settings.cache`.
import Fastify from 'fastify'
import cloudStorage, { defineProvider, Secret } from '../../dist/index.js'
import { openDatabase } from '../../dist/db/open-database.js'
import { entriesOf, folderOf } from '../entries.mjs'
import { authenticate, authorizationOf, userOf } from '../users.mjs'
import { serve, settings } from './serve.mjs'

const unsupported = ['rangeDownload', 'upload', 'createOnly', 'updateIfMatch', 'remove', 'createFolder', 'downloadUrl']
const capabilities = {
  paging: 'native',
  kindFilter: 'native',
  ...Object.fromEntries(unsupported.map((ability) => [ability, 'unsupported']))
}

const backendOf = (account) => ({
  provider: 'bench',
  capabilities,
  listFolder: async (folderId) => ({
    folder: folderOf(folderId),
    entries: entriesOf(folderId),
    next: null,
    complete: true,
    reason: null
  }),
  account: async () => ({ id: account, name: account, email: null, quota: null })
})

const provider = defineProvider({
  id: 'bench',
  label: 'Benchmark',
  capabilities,
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
  open: async ({ credentials }) => backendOf(credentials.reveal().account)
})

const db = await openDatabase({ url: settings.databaseUrl })
const app = Fastify()
await app.register(cloudStorage, {
  prisma: db.prisma,
  authenticate,
  encryption: { current: 'k1', keys: { k1: Buffer.alloc(32, 'k').toString('base64') } },
  providers: { bench: provider },
  ...(settings.cache && { cache: settings.cache })
})

/** Connects users over the network, like all other requests: calls of `inject` would influence the compiler. */
async function connectUsers(port) {
  for (let index = 0; index < settings.users; index += 1) {
    const answer = await fetch(`http://127.0.0.1:${port}/cloud/connections/bench`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: authorizationOf(index) },
      body: JSON.stringify({ account: userOf(index) })
    })
    if (answer.status !== 201) throw new Error(`connecting returned ${answer.status}: ${await answer.text()}`)
  }
}

await serve(app, connectUsers)
