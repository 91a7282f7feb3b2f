// Counts the requests to a provider in a simulated hour of a user who opens ten folders a minute. Prints, as JSON, the
// requests by the method of the backend.
import { random } from '../statistics.mjs'
import { Account, withRun } from './account.mjs'

const HOUR_MS = 3_600_000
const OPENED_PER_HOUR = 600
const FILES = 10

const { id, seed, isChecked, ttlMs, changesPerHour } = JSON.parse(process.argv[2])

/** 40 folders below the root: eight of four each. */
function filesOfAccount() {
  const files = {}
  for (let top = 1; top <= 8; top += 1) {
    for (let file = 1; file <= FILES; file += 1) files[`project ${top}/file ${file}.txt`] = 'content'
    for (let below = 1; below <= 4; below += 1) {
      for (let file = 1; file <= FILES; file += 1) files[`project ${top}/part ${below}/file ${file}.txt`] = 'content'
    }
  }
  return files
}

/** Half of the folders that are opened lie in the present one, a quarter above it. The others are itself, and the root. */
function nextPath(path, paths, draw) {
  const kind = draw()
  const children = paths.filter((each) => each !== '' && parentOf(each) === path)
  if (kind < 0.5 && children.length > 0) return children[Math.floor(draw() * children.length)]
  if (kind < 0.75) return parentOf(path)
  return kind < 0.9 ? path : ''
}

function parentOf(path) {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

/** Returns times with random gaps, in milliseconds. */
function timesOf(count, draw) {
  return Array.from({ length: count }, () => draw() * HOUR_MS).sort((a, b) => a - b)
}

const requests = await withRun(async (run) => {
  const account = await Account.open(id, filesOfAccount(), { isChecked, ttlMs }, run)
  const { clock, paths } = account
  // Different generators, so that the walk is the same with and without checks and changes.
  const walk = random(seed)
  const others = random(seed + 1000)
  const changes = timesOf(changesPerHour, others)
  const startedAt = clock.now()
  const advanceTo = (at) => clock.tick(startedAt + at - clock.now())
  let path = ''
  let changed = 0
  for (const at of timesOf(OPENED_PER_HOUR, walk)) {
    for (; changed < changes.length && changes[changed] <= at; changed += 1) {
      advanceTo(changes[changed])
      const folder = paths[Math.floor(others() * paths.length)]
      await account.add({ [`${folder}${folder === '' ? '' : '/'}new ${changed}.txt`]: 'new' })
    }
    advanceTo(at)
    await account.openFolder(path)
    path = nextPath(path, paths, walk)
  }
  return account.requests
})
console.log(JSON.stringify(requests))
