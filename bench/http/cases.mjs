// The requests over HTTP, the servers, and the targets of the ratios. A ratio is how many times the plugin is better:
// the other's CPU time per request divided by ours, or our requests per second divided by the other's. That of bytes
// is ours divided by the other's.

const COMPRESSED = { 'accept-encoding': 'br, gzip' }

/** Returns the query for the whole folder on one page, without a limit if the default suffices. */
const query = (size) => `folder=f${size}-1${size > 200 ? `&limit=${size}` : ''}`
const listing = (size) => `/cloud/bench/listing?${query(size)}`
/** Returns the bare server's route for a response. That server does not read the query, which is the same. */
export const bareRoute = (answer) => `/bare/${answer}/listing`
const bare = (answer, size) => `${bareRoute(answer)}?${query(size)}`

const both = (target) => ({ cpu: target, rate: target })
const NO_TARGET = both(null)

/** The responses that the bare server copies, by the name in its route. */
export const BARE_ANSWERS = {
  0: { path: listing(0) },
  20: { path: listing(20) },
  200: { path: listing(200) },
  1000: { path: listing(1000) },
  304: { path: listing(200), isUnchanged: true }
}

export const CASES = [
  {
    name: 'hit, 200 entries',
    ask: { path: listing(200) },
    against: [
      { server: 'twin', label: 'the plugin again (A/A)', targets: NO_TARGET },
      { server: 'bare', path: bare(200, 200), targets: both({ atLeast: 0.95 }) },
      { server: 'hand-written', targets: both({ atLeast: 3 }) },
      { server: 'async-cache-dedupe', targets: both({ atLeast: 3 }) },
      { server: 'bentocache', targets: both({ atLeast: 5 }) },
      { server: 'reference', label: 'Python reference', targets: both({ atLeast: 40 }) }
    ]
  },
  {
    name: 'hit, 200 entries, Accept-Encoding',
    ask: { path: listing(200), headers: COMPRESSED },
    against: [
      { server: 'bare', path: bare(200, 200), targets: { cpu: null, rate: { atLeast: 1.2 }, bytes: { atMost: 0.2 } } }
    ]
  },
  {
    name: '304, 200 entries',
    ask: { path: listing(200), isUnchanged: true },
    against: [{ server: 'bare', path: bare(304, 200), targets: both({ atLeast: 0.95 }) }]
  },
  ...[0, 20, 1000].flatMap((size) => [
    {
      name: `hit, ${size} entries`,
      ask: { path: listing(size) },
      against: [{ server: 'bare', path: bare(size, size), targets: NO_TARGET }]
    },
    {
      name: `hit, ${size} entries, Accept-Encoding`,
      ask: { path: listing(size), headers: COMPRESSED },
      against: [{ server: 'bare', path: bare(size, size), targets: { ...NO_TARGET, bytes: null } }]
    }
  ]),
  {
    // A new folder in each request. The provider responds at once.
    name: 'miss, 200 entries',
    ask: { server: 'cold', path: '/cloud/bench/listing?folder=f200-{n}' },
    against: [{ server: 'hand-written', targets: NO_TARGET }]
  }
]

const MEASURES = { cpu: 'CPU', rate: 'requests/s', bytes: 'bytes' }

export function rowName(benchCase, { server, label }, measure) {
  const peer = label ?? (server === 'bare' ? 'bare Fastify' : server)
  return `${benchCase.name}: ${peer}, ${MEASURES[measure]}`
}
