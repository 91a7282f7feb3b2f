// The servers of some cases, all started before the first measurement.
import { listingOf } from '../entries.mjs'
import { missingForReference, startPostgres, startReference, startServer } from '../process.mjs'
import { authorizationOf, userOf } from '../users.mjs'
import { BARE_ANSWERS, bareRoute } from './cases.mjs'

const SIZES = [0, 20, 200, 1000]
const WITH_POSTGRES = ['cold', 'shared', 'hand-written-prisma']
/** Room for the folders of the case of many pages, so that no hit becomes a miss. */
const ROOMY = { max: 10_000, ttlMs: 3_600_000, maxBytes: 1024 ** 3 }
/** A check is due after half of this. */
const OFTEN_MS = 100
/** Fastify and Node set these for each response. */
const OWN_HEADERS = new Set(['date', 'connection', 'keep-alive', 'content-length'])

/**
 * @param wanted names of servers
 * @returns the servers by name; `missing` has the reasons of those that cannot be started here; `etags` of one folder
 */
export async function startServers(wanted) {
  const servers = {}
  const missing = {}
  const start = async (name, starting) => {
    if (wanted.has(name)) servers[name] = await starting()
  }
  if (WITH_POSTGRES.some((name) => wanted.has(name))) servers.postgres = await startPostgres()
  const onPostgres = async (name, settings) =>
    startServer(name, { users: 1, databaseUrl: await servers.postgres.createDatabase(), ...settings })

  await start('plugin', () => startServer('plugin', { users: 1 }))
  await start('twin', () => startServer('plugin', { users: 1 }))
  await start('cold', () => onPostgres('plugin'))
  await start('shared', () => onPostgres('plugin', { hasBareRoutes: true }))
  await start('hand-written-prisma', () => onPostgres('hand-written-prisma'))
  await start('uncovered', () => startServer('plugin', { users: 1, cache: ROOMY }))
  await start('covered', () => startServer('plugin', { users: 1, cache: ROOMY, providers: ['covered'] }))
  await start('several', () => {
    const cache = { ...ROOMY, check: { checked: OFTEN_MS } }
    return startServer('plugin', { users: 1, cache, providers: ['bench', 'again', 'covered', 'checked'] })
  })
  await start('bare', () => startServer('bare'))
  for (const name of ['hand-written', 'async-cache-dedupe', 'bentocache']) await start(name, () => startServer(name))
  await start('reference', async () => {
    const reason = missingForReference()
    if (reason !== null) missing.reference = reason
    return reason === null ? startReference(referenceSettings()) : undefined
  })

  // ETags differ, since the response contains the connection's id.
  const etags = {}
  for (const name of ['plugin', 'twin', 'shared']) {
    if (servers[name] !== undefined) etags[name] = await etagOf(servers[name])
  }
  if (servers.bare !== undefined) await servers.bare.setResponses(await responsesOf(servers.plugin, etags.plugin))
  if (servers.shared !== undefined) await servers.shared.setResponses(await responsesOf(servers.shared, etags.shared))
  return { servers, missing, etags }
}

export function authorized(headers = {}) {
  return { authorization: authorizationOf(0), ...headers }
}

const ask = ({ port }, path, headers) => fetch(`http://127.0.0.1:${port}${path}`, { headers: authorized(headers) })

/** Replaces the default of `fetch`, to get the response without compression. */
const PLAIN = { 'accept-encoding': 'identity' }

async function etagOf(plugin) {
  const answer = await ask(plugin, BARE_ANSWERS[304].path, PLAIN)
  await answer.arrayBuffer()
  return answer.headers.get('etag')
}

/** Returns status, headers and bytes as the plugin sends them. The first response is a miss, with other headers. */
async function responsesOf(plugin, etag) {
  const responses = []
  for (const [name, { path, isUnchanged }] of Object.entries(BARE_ANSWERS)) {
    const headers = { ...PLAIN, ...(isUnchanged && { 'if-none-match': etag }) }
    await (await ask(plugin, path, headers)).arrayBuffer()
    const answer = await ask(plugin, path, headers)
    const expected = isUnchanged ? 304 : 200
    if (answer.status !== expected) throw new Error(`${path} returned ${answer.status}: ${await answer.text()}`)
    responses.push({
      path: bareRoute(name),
      status: answer.status,
      headers: Object.fromEntries([...answer.headers].filter(([header]) => !OWN_HEADERS.has(header))),
      body: Buffer.from(await answer.arrayBuffer()).toString('base64')
    })
  }
  return responses
}

function referenceSettings() {
  return {
    users: { [authorizationOf(0)]: userOf(0) },
    listings: Object.fromEntries(SIZES.map((size) => [size, listingOf(`f${size}-1`)]))
  }
}
