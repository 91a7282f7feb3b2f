// Measures, in simulated time, how long it takes until a reader who asks every second sees a change at the provider.
// Prints the delays in milliseconds as JSON.
import { random } from '../statistics.mjs'
import { Account, withRun } from './account.mjs'

const { id, seed, isChecked, lagMs, changes } = JSON.parse(process.argv[2])
/** A page has at most 200 entries. */
const CHANGES_PER_ACCOUNT = 100
const INTERVAL_MS = 1000
/** From one change to the next one, on average. */
const GAP_MS = 90_000

const draw = random(seed)
const delays = []
while (delays.length < changes) {
  await withRun(async (run) => {
    const account = await Account.open(id, { 'folder/file.txt': 'content' }, { isChecked, lagMs }, run)
    delays.push(...(await watch(account)))
  })
}
console.log(JSON.stringify(delays))

async function watch(account) {
  const { clock } = account
  const found = []
  const pending = new Map()
  let shown
  let askAt = clock.now()
  let changeAt = askAt + draw() * 2 * GAP_MS
  for (let made = 0; found.length < CHANGES_PER_ACCOUNT;) {
    if (made < CHANGES_PER_ACCOUNT && changeAt < askAt) {
      clock.tick(Math.max(0, changeAt - clock.now()))
      const name = `new ${made}.txt`
      await account.add({ [`folder/${name}`]: 'new' })
      pending.set(name, clock.now())
      made += 1
      changeAt += (0.5 + draw()) * GAP_MS
      continue
    }
    clock.tick(Math.max(0, askAt - clock.now()))
    askAt += INTERVAL_MS
    const listing = await account.openFolder('folder')
    if (listing === shown) continue
    shown = listing
    for (const { name } of JSON.parse(listing.identity.bytes).entries) {
      if (!pending.has(name)) continue
      found.push(clock.now() - pending.get(name))
      pending.delete(name)
    }
  }
  return found
}
