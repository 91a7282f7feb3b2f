// Compares hits, 304s and misses with those of peers: the server's CPU time per request, requests per second, bytes.
import { interleave } from '../interleave.mjs'
import { startLoad } from '../process.mjs'
import { median, summarise } from '../statistics.mjs'
import { CASES, rowName } from './cases.mjs'
import { authorized, startServers } from './servers.mjs'

const CONNECTIONS = 16
const BURST_SECONDS = 0.2
/** For requests at an equal rate: half of what the slower one of the contestants reaches. */
const PACED = { connections: 64, seconds: 0.5, share: 0.5 }
/** Misses become cheaper over the first 3,000 requests, and a second has only a few hundred of them. */
const WARM = { requests: 4000, minBursts: 6, maxBursts: 40 }
const SHORT_WARM = { requests: 400, minBursts: 2, maxBursts: 4 }
/** The number of passes through all contestants, there and back. */
const PASSES = 2
const MIN_AMOUNT = 2 * CONNECTIONS
/** Maximum number of attempts to get a compressed response: compression runs in the background. */
const ENCODING_TRIES = 20

const RATIOS = {
  cpu: (ours, theirs) => theirs.cpu / ours.cpu,
  paced: (ours, theirs) => theirs.paced / ours.paced,
  rate: (ours, theirs) => ours.rate / theirs.rate,
  bytes: (ours, theirs) => ours.bytes / theirs.bytes
}
const microseconds = (value) => `${value < 1000 ? value.toPrecision(3) : value.toFixed(0)} µs`
const UNITS = {
  cpu: microseconds,
  paced: microseconds,
  rate: (value) => `${value.toFixed(0)} /s`,
  bytes: (value) => `${value.toFixed(0)} B`
}

export async function rows({ rounds, isShort, wanted, progress }) {
  const cases = CASES.map((one) => ({
    ...one,
    against: one.against.filter((peer) => Object.keys(peer.targets).some((name) => wanted(rowName(one, peer, name))))
  })).filter(({ against }) => against.length > 0)
  if (cases.length === 0) return []

  const warmUp = isShort ? SHORT_WARM : WARM
  const passes = isShort ? 1 : PASSES
  const results = cases.map((one) => ({ ...one, contestants: [], rounds: [] }))
  let missing = {}
  const load = await startLoad()
  try {
    for (let round = 1; round <= rounds; round += 1) {
      const progressOf = (text) => progress(`round ${round} of ${rounds}: ${text}`)
      missing = await measureRound(load, results, { warmUp, passes, progress: progressOf })
    }
    return results.flatMap((one) => rowsOf(one, missing))
  } finally {
    load.stop()
  }
}

/** Measures with new servers: the compiler's decisions in a server's first seconds last as long as it runs. */
async function measureRound(load, results, { warmUp, passes, progress }) {
  progress('starting')
  const needed = results.flatMap(({ ask, against }) => [ownServer(ask), ...against.map(({ server }) => server)])
  if (needed.includes('bare')) needed.push('plugin')
  const { servers, missing, etags } = await startServers(new Set(needed))
  try {
    for (const one of results) {
      progress(`warming: ${one.name}`)
      one.contestants = contestantsOf(one, servers, etags)
      for (const contestant of one.contestants) {
        await warm(load, contestant, warmUp)
        // The twin gets the plugin's requests, so that the compiler has seen the same.
        const isPlugin = contestant.server === servers.plugin
        if (isPlugin && servers.twin !== undefined) {
          await warm(load, contestantOf(one.ask, servers.twin, etags.twin), warmUp)
        }
      }
    }
    for (const one of results) {
      progress(one.name)
      const isPaced = one.against.some(({ targets }) => 'paced' in targets)
      const rate = Math.min(...one.contestants.map(({ rate }) => rate)) * PACED.share
      const measureOne = async (contestant) => ({
        ...(await measure(load, contestant)),
        ...(isPaced && { paced: await measurePaced(load, contestant, rate) })
      })
      one.rounds.push(await interleave(one.contestants, passes, measureOne))
    }
    return missing
  } finally {
    for (const server of Object.values(servers)) server?.stop()
  }
}

/** Returns the plugin, then its peers, without those that are missing here. */
function contestantsOf({ ask, against }, servers, etags) {
  const name = ownServer(ask)
  const own = contestantOf(ask, servers[name], etags[name])
  const peers = against.map(({ server, path = ask.path }) => ({ ...own, server: servers[server], path }))
  return [own, ...peers.map((peer) => ({ ...peer, isCompressed: false }))].filter(({ server }) => server !== undefined)
}

function ownServer({ server = 'plugin' }) {
  return server
}

function contestantOf({ path, headers, isUnchanged }, server, etag) {
  return {
    server,
    path,
    headers: authorized({ ...headers, ...(isUnchanged && { 'if-none-match': etag }) }),
    status: isUnchanged ? 304 : 200,
    isCompressed: headers !== undefined,
    encoding: null
  }
}

/** Runs until the code is compiled, and until the number of requests per burst is known. */
async function warm(load, contestant, { requests, minBursts, maxBursts }) {
  contestant.amount = MIN_AMOUNT
  let asked = 0
  for (let count = 0; count < minBursts || (count < maxBursts && asked < requests); count += 1) {
    const { rate } = await measure(load, contestant)
    asked += contestant.amount
    contestant.rate = rate
    contestant.amount = Math.max(MIN_AMOUNT, Math.round(rate * BURST_SECONDS))
  }
  for (let count = 0; contestant.isCompressed && count < ENCODING_TRIES; count += 1) {
    if (contestant.encoding !== null) return
    await measure(load, contestant)
  }
}

async function measure(load, contestant) {
  const { server, amount, path, headers, status } = contestant
  const request = { port: server.port, connections: CONNECTIONS, path, headers }
  // Not measured: after a pause the plugin reads its connection once, as it does every two seconds.
  await load.ask('burst', { ...request, amount: CONNECTIONS })
  const before = await server.cpuMs()
  const burst = await load.ask('burst', { ...request, amount })
  const cpuMs = (await server.cpuMs()) - before
  if (burst.statuses[status] !== amount) {
    throw new Error(`${server.name} answered ${path} with ${JSON.stringify(burst.statuses)}`)
  }
  contestant.encoding = burst.encoding
  return { cpu: (cpuMs * 1000) / amount, rate: amount / burst.seconds, bytes: burst.bytes / amount }
}

/** Returns the CPU time per request, in microseconds, while requests arrive at a rate below the server's maximum. */
async function measurePaced(load, { server, path, headers, status }, rate) {
  const amount = Math.round(rate * PACED.seconds)
  const before = await server.cpuMs()
  const { connections } = PACED
  const { statuses } = await load.ask('paced', { port: server.port, connections, amount, rate, path, headers })
  const cpuMs = (await server.cpuMs()) - before
  if (statuses[status] !== amount) throw new Error(`${server.name} answered ${path} with ${JSON.stringify(statuses)}`)
  return (cpuMs * 1000) / amount
}

function rowsOf(one, missing) {
  const present = one.against.filter(({ server }) => missing[server] === undefined)
  return one.against.flatMap((peer) =>
    Object.entries(peer.targets).map(([name, target]) => {
      const row = { name: rowName(one, peer, name), target, better: name === 'bytes' ? 'lower' : 'higher' }
      if (missing[peer.server] !== undefined)
        return { ...row, ratio: null, low: null, high: null, note: missing[peer.server] }
      const place = 1 + present.indexOf(peer)
      const middle = (index) => UNITS[name](median(one.rounds.map((round) => round[index][name])))
      return {
        ...row,
        ...summarise(one.rounds.map((round) => RATIOS[name](round[0], round[place]))),
        ours: middle(0),
        theirs: middle(place),
        ...(one.contestants[0].isCompressed && { note: `sent as ${one.contestants[0].encoding ?? 'identity'}` })
      }
    })
  )
}
