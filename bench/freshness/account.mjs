// An account at the fake of a provider, with a user who lists its folders through the cache. Time is simulated: the
// cache, the checks and the fake share a clock that only the benchmark advances, and the provider responds at once. Must
// run with tsx.
import { checkCacheOptions } from '../../src/options/options.ts'
import { provider as box } from '../../src/providers/box/index.ts'
import { provider as dropbox } from '../../src/providers/dropbox/index.ts'
import { provider as googleDrive } from '../../src/providers/google-drive/index.ts'
import { provider as nextcloud } from '../../src/providers/nextcloud/index.ts'
import { provider as oneDrive } from '../../src/providers/onedrive/index.ts'
import { openBox } from '../../test/contract/harness/box.ts'
import { openDropbox } from '../../test/contract/harness/dropbox.ts'
import { openGoogleDrive } from '../../test/contract/harness/google-drive.ts'
import { openNextcloud } from '../../test/contract/harness/nextcloud.ts'
import { openOneDrive } from '../../test/contract/harness/onedrive.ts'
import { FakeBox } from '../../test/fakes/box/fake-box.ts'
import { FakeDrive } from '../../test/fakes/drive/fake-drive.ts'
import { FakeDropbox } from '../../test/fakes/dropbox/fake-dropbox.ts'
import { FakeGraph } from '../../test/fakes/graph/fake-graph.ts'
import { FakeNextcloud } from '../../test/fakes/nextcloud/fake-nextcloud.ts'
import { createTestListing } from '../../test/support/listing/listing.ts'
import { ManualClock } from '../../test/support/time/clock.ts'

const LISTED = { limit: 200, signal: new AbortController().signal }
/** So long that the lease is not part of the measurement. */
const LEASE_MS = 1e9
const { checkMsOf } = checkCacheOptions(undefined, new Map()).freshness

/** `lag` sets for how long changes are missing in the feed of a fake. Its listings show them at once. */
const CLOUDS = {
  google_drive: {
    definition: googleDrive,
    start: (run, options) => FakeDrive.start(run, options),
    open: openGoogleDrive,
    lag: ({ knobs }, ms) => (knobs.changeLagMs = ms)
  },
  onedrive: {
    definition: oneDrive,
    start: (run, options) => FakeGraph.start(run, options),
    open: openOneDrive,
    lag: ({ knobs }, ms) => (knobs.feedLagMs = ms)
  },
  dropbox: {
    definition: dropbox,
    start: (run, options) => FakeDropbox.start(run, options),
    open: openDropbox,
    lag: ({ knobs }, ms) => (knobs.changeLagMs = ms)
  },
  box: {
    definition: box,
    start: (run, options) => FakeBox.start(run, options),
    open: openBox,
    lag: ({ knobs }, ms) => (knobs.eventLagMs = ms)
  },
  nextcloud: {
    definition: nextcloud,
    start: (run) => FakeNextcloud.start(run),
    open: openNextcloud,
    requestsOf: ({ dav }) => dav.requests,
    lag: () => {}
  }
}

export class Account {
  clock
  /** The requests to the provider by the method of the backend that has sent them. */
  requests = { listFolder: 0, position: 0, changes: 0, isCurrent: 0 }
  #opened
  #record
  #listing
  /** Requests that are counted already. */
  #counted = 0
  #running = 0
  #folderIds = new Map([['', null]])

  /**
   * @param files those that the account contains, by path
   * @param ttlMs when pages expire that are not checked; `null`: after the interval of the checks
   * @param isChecked `false`: all pages expire
   * @param lagMs how late the feed reports a change
   */
  static async open(id, files, { isChecked, ttlMs = 60_000, lagMs = 0 }, run) {
    const account = new Account()
    const { definition, start, open, requestsOf = (fake) => fake.requests, lag } = CLOUDS[id]
    const clock = new ManualClock()
    account.clock = clock
    const fake = await start(run, { now: () => new Date(clock.date()) })
    lag(fake, lagMs)
    account.#opened = await open(run, fake)
    account.#record = requestsOf(fake)
    await account.add(files)
    const freshness = isChecked
      ? { checkMsOf: () => checkMsOf(id), settleMsOf: () => definition.settleMs ?? 0 }
      : undefined
    const expiry = { ttlMs: ttlMs ?? checkMsOf(id) }
    account.#listing = createTestListing({ clock, leaseMs: LEASE_MS, ...expiry, ...(isChecked && { freshness }) })
    account.#listing.connections.add()
    await account.#findFolders('', null)
    // Everything is older than the first page that the user opens.
    clock.tick(3_600_000)
    account.#observe()
    return account
  }

  /** Adds files by path, as another client of the provider. */
  add(files) {
    return this.#opened.seed(files)
  }

  get paths() {
    return [...this.#folderIds.keys()]
  }

  /** Opens a folder. Returns its listing: the same object as before if the page is the same. */
  async openFolder(path) {
    const { listings } = this.#listing
    const folderId = this.#folderIds.get(path)
    const request = { userId: 'ann', provider: 'scripted', folderId, parameters: { limit: 200 }, refresh: false }
    const lookup = listings.lookUp(request)
    const { listing } = lookup.result ?? (await listings.load(lookup, LISTED.signal))
    // Until the checks in the background have ended, at the time at which they began.
    do await new Promise(setImmediate)
    while (this.#running > 0)
    return listing
  }

  async #findFolders(path, folderId) {
    const { entries } = await this.#opened.backend.listFolder(folderId, LISTED)
    for (const { id, name, kind } of entries) {
      if (kind !== 'folder') continue
      const child = path === '' ? name : `${path}/${name}`
      this.#folderIds.set(child, id)
      await this.#findFolders(child, id)
    }
  }

  /** Connects the cache with the backend, whose requests are counted. */
  #observe() {
    const { backend } = this.#opened
    const { backend: scripted } = this.#listing
    this.#counted = this.#record.length
    const counting = (name) => {
      const method = async (...args) => {
        this.#running += 1
        try {
          return await backend[name](...args)
        } finally {
          this.#running -= 1
          this.requests[name] += this.#record.length - this.#counted
          this.#counted = this.#record.length
        }
      }
      return backend[name] === undefined ? undefined : method
    }
    scripted.list = counting('listFolder')
    for (const name of ['position', 'changes', 'isCurrent']) {
      const method = counting(name)
      if (method !== undefined) scripted[name] = method
    }
  }
}

/** Runs `work` with the lifetime of fakes. */
export async function withRun(work) {
  const steps = []
  try {
    return await work({ teardown: (step) => steps.unshift(step) })
  } finally {
    for (const step of steps) await step()
  }
}
