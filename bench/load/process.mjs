// The load generator, in a process of its own, so that its work does not count as a server's. Connections stay open
// between two bursts.
import { authorizationOf } from '../users.mjs'
import { burst } from './burst.mjs'
import { Connection, requestBytes } from './connection.mjs'
import { mixOf } from './mix.mjs'
import { paced } from './paced.mjs'

/** The placeholder of a number that differs in each request. */
const COUNTER = '{n}'
/** The placeholder of a number from 1 to another one, in turn. */
const CYCLE = /\{(\d+)\}/

const connectionsOf = new Map()
const mixes = new Map()
let counted = 0
let asked = 0

const jobs = {
  burst: ({ port, connections, amount, ...request }) => burst(open(port, connections), amount, repeated(request)),
  paced: ({ port, connections, amount, rate, ...request }) =>
    paced(open(port, connections), amount, rate, repeated(request)),
  /** Requests every folder of the mix once. */
  mixFill: async ({ port, connections }) => {
    const mix = mixOf()
    mixes.set(port, mix)
    await mix.fill(open(port, connections))
  },
  mixBurst: ({ port, connections, amount }) => burst(open(port, connections), amount, mixes.get(port).next),
  mixPaced: ({ port, connections, amount, rate }) => paced(open(port, connections), amount, rate, mixes.get(port).next)
}

/** @param request.users if given, requests of so many users in turn, and otherwise of the headers' one */
function repeated({ path, headers, users }) {
  if (users !== undefined) {
    const requests = Array.from({ length: users }, (_, index) =>
      requestBytes(path, { authorization: authorizationOf(index) })
    )
    let user = -1
    return () => requests[(user = (user + 1) % users)]
  }
  if (path.includes(COUNTER)) return () => requestBytes(path.replace(COUNTER, String((counted += 1))), headers)
  const count = Number(CYCLE.exec(path)?.[1] ?? 1)
  const requests = Array.from({ length: count }, (_, index) =>
    requestBytes(path.replace(CYCLE, String(index + 1)), headers)
  )
  return () => requests[(asked += 1) % count]
}

function open(port, count) {
  const kept = (connectionsOf.get(port) ?? []).filter(({ isOpen }) => isOpen)
  while (kept.length < count) kept.push(new Connection(port))
  connectionsOf.set(port, kept)
  return kept.slice(0, count)
}

process.on('message', async ({ job, ...details }) => {
  try {
    process.send({ result: (await jobs[job](details)) ?? null })
  } catch (error) {
    process.send({ error: String(error?.stack ?? error) })
  }
})
process.on('disconnect', () => process.exit())
process.send('ready')
