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

interface TwoUsers {
  readonly ann: StorageBackend
  readonly bob: StorageBackend
  /** Returns the number of responses that the server has started and not ended. */
  readonly busy: () => number
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
  return { ann: await open(), bob: await open(), busy: () => fake.busy() }
}

async function atS3(t: Test): Promise<TwoUsers> {
  const fake = await FakeS3.start(t)
  fake.store.put('big', BIG)
  const egress = openEgress({ maxConnections: CONNECTIONS })
  t.teardown(() => egress.close())
  const open = () => openFakeS3(fake, { egress })
  return { ann: await open(), bob: await open(), busy: () => fake.sockets.size }
}

for (const [name, start] of Object.entries({ WebDAV: atDav, S3: atS3 })) {
  t.test(`paused downloads of one user delay no listing of another at the same ${name} server`, async (t) => {
    const { ann, bob } = await start(t)
    const held = []
    for (let count = 0; count < CONNECTIONS; count++) {
      const { body } = await ann.download('big', { signal })
      body.once('readable', () => {})
      await once(body, 'readable')
      held.push(body)
    }
    const { entries } = await bob.listFolder(null, { signal, limit: 10 })
    t.same(
      entries.map(({ id }) => id),
      ['big']
    )
    t.equal((await bob.stat('big', { signal })).size, BIG.length)
    for (const body of held) body.destroy()
  })

  t.test(`stalled uploads of one user delay no listing of another at the same ${name} server`, async (t) => {
    const { ann, bob, busy } = await start(t)
    const held = Array.from({ length: CONNECTIONS }, (_, index) => {
      const body = new Readable({ read() {} })
      body.push(BIG)
      const stored = ann.upload?.({ parentId: null, name: `up${index}` }, body, { signal, size: 2 * BIG.length })
      stored?.catch(() => {})
      return { body, stored }
    })
    await until(() => busy() >= CONNECTIONS)
    t.ok((await bob.listFolder(null, { signal, limit: 10 })).entries.length > 0)
    for (const { body, stored } of held) {
      body.destroy()
      t.ok(
        await stored?.then(
          () => false,
          () => true
        )
      )
    }
  })
}
