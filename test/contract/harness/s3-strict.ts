import { busySockets, openEgress } from '../../support/backend/egress.ts'
import { FakeS3 } from '../../fakes/s3/fake-s3.ts'
import { openFakeS3 } from '../../support/s3/s3-backend.ts'
import type { Harness } from '../harness.ts'

/** A server that is known to check conditions, like AWS: the backend looks nothing up before a write. */
export const harness: Harness = {
  name: 's3-strict',
  async open(t) {
    const fake = await FakeS3.start(t)
    const prefix = 'jail/'
    const egress = openEgress()
    return {
      backend: await openFakeS3(fake, { prefix, preconditions: 'native', egress }),
      async seed(files) {
        for (const [path, content] of Object.entries(files)) fake.store.put(prefix + path, Buffer.from(content))
      },
      busy: () => busySockets(egress, new URL(fake.endpoint).port),
      missing: { folder: 'no such folder/', file: 'no such file' }
    }
  }
}
