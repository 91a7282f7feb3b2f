import type { Test } from 'tap'
import { provider } from '../../../src/providers/webdav/index.ts'
import { FAKE_DAV_PASSWORD, FAKE_DAV_USER } from '../../fakes/dav/auth.ts'
import { FakeDav } from '../../fakes/dav/fake-dav.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import type { Harness, OpenedBackend } from '../harness.ts'

/** Connects like a user: with the fields of the form, completed by asking the server. */
export async function openWebdav(
  t: Test,
  fields: Readonly<Record<string, unknown>>
): Promise<OpenedBackend['backend']> {
  const egress = openEgress()
  t.teardown(() => egress.close())
  const context = { egress, timeouts: TEST_TIMEOUTS }
  const parsed = provider.connect.parse(fields)
  const completed = await provider.connect.complete?.(parsed, { ...context, signal: new AbortController().signal })
  return provider.open({ ...context, credentials: (completed ?? parsed).credentials })
}

export const harness: Harness = {
  name: 'webdav',
  async open(t) {
    const fake = await FakeDav.start(t)
    return {
      backend: await openWebdav(t, { baseUrl: fake.url, username: FAKE_DAV_USER, password: FAKE_DAV_PASSWORD }),
      seed: async (files) => {
        seedTree(fake.tree, files)
      },
      busy: () => fake.busy(),
      missing: { folder: 'no such folder/', file: 'no such file' }
    }
  }
}

/** Creates files by path; a path that ends with `/` is an empty folder. */
export function seedTree(tree: FakeDav['tree'], files: Readonly<Record<string, string | Buffer>>): void {
  for (const [path, content] of Object.entries(files)) {
    if (path.endsWith('/')) tree.mkdir(path.slice(0, -1))
    else tree.put(path, content)
  }
}
