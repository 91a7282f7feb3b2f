// Measures the look-up of a cached page with and without coverage. Prints its rows as JSON. Must run with tsx.
import { systemClock } from '../../src/core/time.ts'
import { entry, page } from '../../test/support/backend/scripted-backend.ts'
import { createTestListing } from '../../test/support/listing/listing.ts'
import { compare, nsPerCall } from '../cache/compare.mjs'

const CALLS = 200_000
/** So long that nothing expires, and no check is due. */
const LONG_MS = 1e9
const REQUEST = {
  userId: 'ann',
  provider: 'scripted',
  folderId: 'folder',
  parameters: { limit: 200 },
  refresh: false
}

const { rounds } = JSON.parse(process.argv[2])

async function listingsOf(isCovered) {
  const freshness = { checkMsOf: () => LONG_MS, coveredTtlMs: LONG_MS }
  const settings = { clock: systemClock, leaseMs: LONG_MS, ttlMs: LONG_MS, freshness }
  const { connections, backend, listings } = createTestListing(settings)
  connections.add()
  const entries = Array.from({ length: 200 }, (_, index) => entry(`entry ${index}`))
  backend.list = async () => ({ ...page(entries), freshness: isCovered ? { scope: '' } : null })
  backend.position = async () => 'now'
  backend.changes = async () => ({ position: 'now', changes: [], hasMore: false })
  await listings.load(listings.lookUp(REQUEST), new AbortController().signal)
  const found = listings.lookUp(REQUEST, 'parameters').result
  if ((found?.listing.coverage !== null) !== isCovered) throw new Error('the page is not as it should be')
  return listings
}

const covered = await listingsOf(true)
const uncovered = await listingsOf(false)
const lookUp = (listings) => () =>
  nsPerCall(CALLS, () => {
    for (let call = 0; call < CALLS; call += 1)
      if (listings.lookUp(REQUEST).result === undefined) throw new Error('miss')
  })
const lookUpRepeated = (listings) => () =>
  nsPerCall(CALLS, () => {
    for (let call = 0; call < CALLS; call += 1) {
      if (listings.lookUpRepeated('ann', 'parameters') === undefined) throw new Error('miss')
    }
  })

const name = 'covered look-up against one without coverage'
const rows = [
  await compare(`${name}, ns`, rounds, lookUp(covered), lookUp(uncovered)),
  await compare(`${name}, repeated, ns`, rounds, lookUpRepeated(covered), lookUpRepeated(uncovered))
]
console.log(JSON.stringify(rows))
