import { once } from 'node:events'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import type { StorageBackend } from '../../src/core/backend.ts'
import { provider as webdav } from '../../src/providers/webdav/index.ts'
import { Secret } from '../../src/index.ts'
import { FAKE_DAV_PASSWORD, FAKE_DAV_USER } from '../fakes/dav/auth.ts'
import { FakeDav } from '../fakes/dav/fake-dav.ts'
import { FakeS3 } from '../fakes/s3/fake-s3.ts'
import { openEgress } from '../support/backend/egress.ts'
import { openFakeS3 } from '../support/s3/s3-backend.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'
import { until } from '../support/time/until.ts'

const { signal } = new AbortController()
const BIG = Buffer.alloc(16 * 1024 * 1024)
/** The connections of each pool. A user may hold all of those for bodies. */
const CONNECTIONS = 2
/** Far longer than a call takes on a busy machine. */
const CALL_MS = 60_000

interface TwoUsers {
  readonly ann: StorageBackend
  readonly bob: StorageBackend
  /** Returns the number of requests with a body that the server has not answered yet. */
  readonly uploading: () => number
}

/** Returns the result of a call. If it waits for connections, fails the test and releases them, so that it ends. */
async function withoutWaiting<T>(t: Test, work: Promise<T>, release: () => void): Promise<T> {
  const timer = setTimeout(() => {
    t.fail('the call waits for a connection that another user holds')
    release()
  }, CALL_MS)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}

async function atDav(t: Test): Promise<TwoUsers> {
  const fake = await FakeDav.start(t)
  fake.tree.put('big', BIG)
  const egress = openEgress({ maxConnections: CONNECTIONS })
  t.teardown(() => egress.close())
  const open = (): Promise<StorageBackend> => {
    const login = { authentication: 'basic', username: FAKE_DAV_USER, password: FAKE_DAV_PASSWORD }
    const credentials = new Secret({ baseUrl: fake.url, ...login, versions: 'strong', checksPreconditions: true })
    return webdav.open({ credentials, egress, timeouts: TEST_TIMEOUTS })
  }
  return { ann: await open(), bob: await open(), uploading: () => fake.busy() }
}

async function atS3(t: Test): Promise<TwoUsers> {
  const fake = await FakeS3.start(t)
  fake.store.put('big', BIG)
  // The backend sends a part when it has all of its bytes. A slow server holds the connection.
  let uploading = 0
  fake.script = ({ operation }) => {
    if (operation !== 'UploadPart') return false
    uploading += 1
    return true
  }
  const egress = openEgress({ maxConnections: CONNECTIONS })
  t.teardown(() => egress.close())
  const open = () => openFakeS3(fake, { egress })
  return { ann: await open(), bob: await open(), uploading: () => uploading }
}

for (const [name, start] of Object.entries({ WebDAV: atDav, S3: atS3 })) {
  t.test(`paused downloads of one user delay no listing of another at the same ${name} server`, async (t) => {
    const { ann, bob } = await start(t)
    const held: Readable[] = []
    const release = (): void => {
      for (const body of held) body.destroy()
    }
    for (let count = 0; count < CONNECTIONS; count++) {
      const { body } = await ann.download('big', { signal })
      body.once('readable', () => {})
      await once(body, 'readable')
      held.push(body)
    }
    const { entries } = await withoutWaiting(t, bob.listFolder(null, { signal, limit: 10 }), release)
    t.same(
      entries.map(({ id }) => id),
      ['big']
    )
    const { size } = await withoutWaiting(t, bob.stat('big', { signal }), release)
    t.equal(size, BIG.length)
    release()
  })

  t.test(`stalled uploads of one user delay no listing of another at the same ${name} server`, async (t) => {
    const { ann, bob, uploading } = await start(t)
    const leaving = new AbortController()
    const held = Array.from({ length: CONNECTIONS }, async (_, index): Promise<boolean> => {
      const body = new Readable({ read() {} })
      body.push(BIG)
      const options = { signal: leaving.signal, size: 2 * BIG.length }
      return ann.upload!({ parentId: null, name: `up${index}` }, body, options).then(
        () => true,
        () => false
      )
    })
    await until(() => uploading() >= CONNECTIONS)
    const release = (): void => {
      leaving.abort()
    }
    const { entries } = await withoutWaiting(t, bob.listFolder(null, { signal, limit: 10 }), release)
    t.ok(entries.length > 0)
    release()
    t.same(await Promise.all(held), [false, false], 'the uploads were running')
  })
}
