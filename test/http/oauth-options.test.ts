import Fastify from 'fastify'
import t from 'tap'
import cloudStorage, { type CloudStorageOptions } from '../../src/index.ts'
import { encryption, oauthApp, scriptedProvider } from '../support/app/app.ts'
import { emptyDatabase } from '../support/database/database.ts'
import { oauthCloudProvider } from '../support/app/oauth-cloud.ts'

const CLIENT = { clientId: 'client', clientSecret: 'hunter2' }
const PUBLIC = { publicUrl: 'https://app.example.org' }
const provider = oauthCloudProvider('https://as.example.org', 'https://cloud.example.org')
const registered = { providers: { cloud: { provider, ...CLIENT } } }

async function start(over: Record<string, unknown>) {
  const { prisma } = await emptyDatabase()
  const app = Fastify({ pluginTimeout: 0 })
  const good: CloudStorageOptions = { prisma, encryption, authenticate: () => 'ann' }
  app.register(cloudStorage, { ...good, ...over })
  try {
    await app.ready()
  } finally {
    await app.close()
  }
}

t.test('an invalid registration makes ready() reject with its name, without showing the secret', async (t) => {
  const drive = (value: unknown) => ({ ...PUBLIC, providers: { google_drive: value } })
  const own = (value: object) => ({ ...PUBLIC, providers: { cloud: { provider, ...value } } })
  const bad: [Record<string, unknown>, RegExp][] = [
    [drive(true), /providers\.google_drive\.clientId/],
    [drive({}), /providers\.google_drive\.clientId/],
    [drive({ clientSecret: 'hunter2' }), /providers\.google_drive\.clientId/],
    [drive({ clientId: 'client' }), /providers\.google_drive\.clientSecret/],
    [drive({ clientId: '', clientSecret: 'hunter2' }), /providers\.google_drive\.clientId/],
    [drive({ clientId: 'client', clientSecret: '' }), /providers\.google_drive\.clientSecret/],
    [drive({ clientId: 'client', clientSecret: ['hunter2'] }), /providers\.google_drive\.clientSecret/],
    [drive({ ...CLIENT, clientSecrt: 'hunter2' }), /providers\.google_drive\.clientSecrt/],
    [drive({ ...CLIENT, redirectUri: 'https://x' }), /providers\.google_drive\.redirectUri/],
    [drive({ ...CLIENT, scopes: [] }), /providers\.google_drive\.scopes/],
    [drive({ ...CLIENT, scopes: ['a b'] }), /providers\.google_drive\.scopes/],
    [drive({ ...CLIENT, scopes: ['a', ''] }), /providers\.google_drive\.scopes/],
    [drive({ ...CLIENT, scopes: ['"'] }), /providers\.google_drive\.scopes/],
    [drive({ ...CLIENT, scopes: ['a\n'] }), /providers\.google_drive\.scopes/],
    [drive({ ...CLIENT, scopes: 'a' }), /providers\.google_drive\.scopes/],
    [drive({ ...CLIENT, scopes: [1] }), /providers\.google_drive\.scopes/],
    [drive({ ...CLIENT, allowHosts: 'x' }), /providers\.google_drive\.allowHosts/],
    [drive({ ...CLIENT, tenant: 'common' }), /providers\.google_drive\.tenant/],
    [own({ ...CLIENT, tenant: 'common' }), /providers\.cloud\.tenant/],
    ...['', 'a/b', '..', '.', 'a b', '{tenant}', 'a?b', 7, null].map((tenant): [Record<string, unknown>, RegExp] => [
      { ...PUBLIC, providers: { onedrive: { ...CLIENT, tenant } } },
      /providers\.onedrive\.tenant/
    ]),
    [{ ...PUBLIC, providers: { cloud: provider } }, /providers\.cloud\.clientId/],
    [own({}), /providers\.cloud\.clientId/],
    [own({ clientId: 'client' }), /providers\.cloud\.clientSecret/],
    [own({ ...CLIENT, scope: 'a' }), /providers\.cloud\.scope/],
    [
      { ...PUBLIC, providers: { scripted: { provider: scriptedProvider().provider, ...CLIENT } } },
      /providers\.scripted\.clientId/
    ],
    [{ ...PUBLIC, providers: { s3: CLIENT } }, /providers\.s3\.clientId/],
    [{ ...PUBLIC, providers: { s3: { scopes: ['a'] } } }, /providers\.s3\.scopes/]
  ]
  for (const [over, name] of bad) {
    await t.rejects(start(over), { message: name }, String(name))
    await t.rejects(start(over), { message: /^((?!hunter2).)*$/s }, 'the message does not contain the secret')
  }
})

t.test('an OAuth provider requires a valid publicUrl with https, or http on a loopback host', async (t) => {
  const refused: [string | undefined, RegExp][] = [
    [undefined, /publicUrl.*required/],
    ['http://app.example.org', /publicUrl.*https/],
    ['http://10.0.0.1', /publicUrl.*https/],
    ['http://localhost.evil.example', /publicUrl.*https/],
    ['http://127.0.0.1.evil.example', /publicUrl.*https/],
    ['http://localhost@evil.example', /publicUrl/],
    ['https://user:hunter2@app.example.org', /publicUrl/],
    ['https://app.example.org/?a=b', /publicUrl/],
    ['https://app.example.org/#a', /publicUrl/],
    ['https://app.example.org/a;b', /publicUrl.*path/],
    ['/files', /publicUrl/]
  ]
  for (const [publicUrl, message] of refused) {
    await t.rejects(start({ ...registered, publicUrl }), { message }, String(publicUrl))
  }
  for (const publicUrl of [
    'https://app.example.org',
    'https://app.example.org:8443/files/',
    'http://localhost:3000',
    'http://127.0.0.1:3000',
    'http://[::1]:3000'
  ]) {
    await t.resolves(start({ ...registered, publicUrl }), publicUrl)
  }
})

t.test('without an OAuth provider any publicUrl is accepted, and none is required', async (t) => {
  await t.resolves(start({}))
  await t.resolves(start({ publicUrl: 'http://intranet.lan' }))
})

t.test('without routes no publicUrl is required', async (t) => {
  await t.resolves(start({ ...registered, routePrefix: false }))
})

t.test('a disabled provider needs no registration', async (t) => {
  await t.resolves(start({ providers: { google_drive: false } }))
})

t.test('providers describe their connect method and reveal nothing of the registration', async (t) => {
  const { as } = await oauthApp(t, { plugin: { providers: { google_drive: CLIENT } } })
  const answer = await as('ann').get('/cloud/providers')
  const { providers } = answer.json<{ providers: { id: string; connect: object }[] }>()
  for (const id of ['cloud', 'google_drive']) {
    t.same(providers.find((each) => each.id === id)?.connect, { type: 'oauth2' })
  }
  t.notMatch(answer.body, /hunter2|client/i)
})

t.test('the Google provider uses its own authorization endpoint, read access and offline access', async (t) => {
  const { as } = await oauthApp(t, { plugin: { providers: { google_drive: CLIENT } } })
  const answer = await as('ann').send('POST', '/cloud/connections/google_drive/authorize', {})
  const url = new URL(answer.json<{ authorizationUrl: string }>().authorizationUrl)
  t.equal(url.origin, 'https://accounts.google.com')
  t.match(Object.fromEntries(url.searchParams), {
    client_id: 'client',
    scope: 'https://www.googleapis.com/auth/drive.readonly',
    access_type: 'offline',
    prompt: 'consent'
  })
})
