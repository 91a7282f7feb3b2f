import type { Test } from 'tap'
import { provider } from '../../../src/providers/nextcloud/index.ts'
import { FAKE_APP_PASSWORD, FAKE_NEXTCLOUD_LOGIN, FakeNextcloud } from '../../fakes/nextcloud/fake-nextcloud.ts'
import { parentOf } from '../../fakes/dav/tree.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import type { Harness, OpenedBackend } from '../harness.ts'
import { seedTree } from './webdav.ts'

export async function openNextcloud(t: Test, fake: FakeNextcloud): Promise<OpenedBackend> {
  const egress = openEgress()
  t.teardown(() => egress.close())
  const context = { egress, timeouts: TEST_TIMEOUTS }
  const fields = { baseUrl: fake.url, username: FAKE_NEXTCLOUD_LOGIN, password: FAKE_APP_PASSWORD }
  const parsed = provider.connect.parse(fields)
  const completed = await provider.connect.complete?.(parsed, { ...context, signal: new AbortController().signal })
  const seed: OpenedBackend['seed'] = async (files) => {
    seedTree(fake.tree, files)
  }
  return {
    backend: await provider.open({ ...context, credentials: (completed ?? parsed).credentials }),
    seed,
    otherClient: () => ({
      folderId: null,
      create: seed,
      write: (path, content) => {
        fake.tree.put(path, content)
      },
      rename: (path, name) => {
        fake.tree.move(path, inFolder(parentOf(path), name))
      },
      move: (path, folder) => {
        fake.tree.move(path, inFolder(folder, path.slice(path.lastIndexOf('/') + 1)))
      },
      remove: (path) => {
        fake.tree.delete(path)
      },
      trash: (path) => {
        fake.tree.delete(path)
      },
      losePositions: null,
      limitFeedPages: null,
      addScope: null
    }),
    normalizesNames: true,
    busy: () => fake.dav.busy(),
    missing: { folder: 'no such folder/', file: 'no such file' }
  }
}

function inFolder(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`
}

export const harness: Harness = {
  name: 'nextcloud',
  open: async (t) => openNextcloud(t, await FakeNextcloud.start(t))
}
