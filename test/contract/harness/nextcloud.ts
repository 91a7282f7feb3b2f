import type { Test } from 'tap'
import { provider } from '../../../src/providers/nextcloud/index.ts'
import { FAKE_APP_PASSWORD, FAKE_NEXTCLOUD_LOGIN, FakeNextcloud } from '../../fakes/nextcloud/fake-nextcloud.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import type { Harness, Opened } from '../harness.ts'
import { seedTree } from './webdav.ts'

export async function openNextcloud(t: Test, fake: FakeNextcloud): Promise<Opened> {
  const egress = openEgress()
  t.teardown(() => egress.close())
  const context = { egress, timeouts: TEST_TIMEOUTS }
  const fields = { baseUrl: fake.url, username: FAKE_NEXTCLOUD_LOGIN, password: FAKE_APP_PASSWORD }
  const typed = provider.connect.parse(fields)
  const parsed = await provider.connect.complete?.(typed, { ...context, signal: new AbortController().signal })
  return {
    backend: await provider.open({ ...context, credentials: (parsed ?? typed).credentials }),
    seed: async (files) => {
      seedTree(fake.tree, files)
    },
    normalizes: true,
    busy: () => fake.dav.busy(),
    missing: { folder: 'no such folder/', file: 'no such file' }
  }
}

export const harness: Harness = {
  name: 'nextcloud',
  open: async (t) => openNextcloud(t, await FakeNextcloud.start(t))
}
