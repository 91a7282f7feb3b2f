// The requests over HTTP, the servers, and the targets of the ratios. A ratio is how many times the plugin is better:
// the other's CPU time per request divided by ours, or our requests per second divided by the other's. That of bytes
// is ours divided by the other's.

const COMPRESSED = { 'accept-encoding': 'br, gzip' }

/** Returns the query for the whole folder on one page, without a limit if the default suffices. */
const query = (size) => `folder=f${size}-1${size > 200 ? `&limit=${size}` : ''}`
const listing = (size) => `/cloud/bench/listing?${query(size)}`
/** Returns the bare route of a response. It does not read the query, which is the same. */
export const bareRoute = (answer) => `/bare/${answer}/listing`
const bare = (answer, size) => `${bareRoute(answer)}?${query(size)}`

const NO_TARGET = { cpu: null, rate: null }
/** Compared at full speed and at an equal rate: a client that never sleeps makes the system calls of both cheaper. */
const inOneProcess = (path, target) => ({
  server: 'shared',
  path,
  label: 'a bare route in the same process',
  targets: { cpu: target, paced: target, rate: null }
})

/** At most 3 % more CPU time. */
const COVERAGE = { atLeast: 0.97 }
const listingAt = (provider, folder) => `/cloud/${provider}/listing?folder=${folder}`
const without = (provider, folder, targets) => ({
  server: 'several',
  path: listingAt(provider, folder),
  label: 'without coverage',
  targets
})

/** The responses that bare routes copy, by the name in the route. */
export const BARE_ANSWERS = {
  0: { path: listing(0) },
  20: { path: listing(20) },
  200: { path: listing(200) },
  1000: { path: listing(1000) },
  304: { path: listing(200), isUnchanged: true }
}
export const BARE_PATHS = Object.keys(BARE_ANSWERS).map(bareRoute)

export const CASES = [
  {
    name: 'hit, 200 entries',
    ask: { path: listing(200) },
    against: [
      { server: 'twin', label: 'the plugin again (A/A)', targets: NO_TARGET },
      { server: 'bare', path: bare(200, 200), targets: NO_TARGET },
      { server: 'hand-written', targets: { cpu: { atLeast: 6 }, rate: { atLeast: 3 } } },
      { server: 'async-cache-dedupe', targets: { cpu: { atLeast: 8 }, rate: { atLeast: 3 } } },
      { server: 'bentocache', targets: { cpu: { atLeast: 14 }, rate: { atLeast: 5 } } },
      { server: 'reference', label: 'Python reference', targets: { cpu: { atLeast: 90 }, rate: { atLeast: 40 } } }
    ]
  },
  {
    name: 'hit, 200 entries, on PostgreSQL',
    ask: { server: 'shared', path: listing(200) },
    against: [inOneProcess(bare(200, 200), { atLeast: 0.9 })]
  },
  {
    name: '304, 200 entries, on PostgreSQL',
    ask: { server: 'shared', path: listing(200), isUnchanged: true },
    against: [inOneProcess(bare(304, 200), null)]
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
    against: [{ server: 'bare', path: bare(304, 200), targets: NO_TARGET }]
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
  ...[
    { name: 'covered hit, 200 entries', folder: 'f200-1' },
    { name: 'covered hit, 1,000 folders of 20 entries in turn', folder: 'f20-{1000}' }
  ].map(({ name, folder }) => ({
    name: `${name}, in one process`,
    ask: { server: 'several', path: listingAt('covered', folder) },
    against: [without('bench', folder, { cpu: COVERAGE, rate: null })]
  })),
  {
    name: 'hit, 200 entries, in one process',
    ask: { server: 'several', path: listingAt('again', 'f200-1') },
    against: [{ ...without('bench', 'f200-1', NO_TARGET), label: 'the same (A/A), not covered' }]
  },
  {
    name: 'covered hit, 200 entries, 20 checks/s, in one process',
    ask: { server: 'several', path: listingAt('checked', 'f200-1') },
    against: [without('bench', 'f200-1', NO_TARGET)]
  },
  {
    name: 'covered hit, 200 entries',
    ask: { server: 'covered', path: listingAt('covered', 'f200-1') },
    against: [{ ...without('bench', 'f200-1', NO_TARGET), server: 'uncovered' }]
  },
  {
    // A new folder in each request. The provider responds at once.
    name: 'miss, 200 entries',
    ask: { server: 'cold', path: '/cloud/bench/listing?folder=f200-{n}' },
    against: [
      {
        server: 'hand-written-prisma',
        label: 'hand-written with Prisma',
        targets: { cpu: { atLeast: 0.6 }, rate: null }
      },
      { server: 'hand-written', targets: NO_TARGET }
    ]
  }
]

const MEASURES = { cpu: 'CPU', paced: 'CPU at an equal rate', rate: 'requests/s', bytes: 'bytes' }

export function rowName(benchCase, { server, label }, measure) {
  const peer = label ?? (server === 'bare' ? 'bare Fastify' : server)
  return `${benchCase.name}: ${peer}, ${MEASURES[measure]}`
}
