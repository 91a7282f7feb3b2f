import { mkdir, mkdtemp, readdir, readlink, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openManaged } from '../../../src/providers/disk/index.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import type { Harness } from '../harness.ts'

export const harness: Harness = {
  name: 'disk',
  async open(t) {
    const base = await realpath(await mkdtemp(join(tmpdir(), 'disk-store-')))
    t.teardown(() => rm(base, { recursive: true }))
    // Deep enough that an ID with `..` segments stays within the test's own folder.
    const directory = join(base, 'well', 'below', 'the', 'store')
    await mkdir(directory, { recursive: true })
    return {
      backend: await openManaged({ type: 'disk', directory }, { timeouts: TEST_TIMEOUTS }),
      async seed(files) {
        for (const [path, content] of Object.entries(files)) {
          const target = join(directory, path)
          await mkdir(path.endsWith('/') ? target : dirname(target), { recursive: true })
          if (!path.endsWith('/')) await writeFile(target, content)
        }
      },
      busy: async () => (await openFiles()).filter((path) => path.startsWith(directory)).length,
      missing: { folder: 'no such folder/', file: 'no such file' }
    }
  }
}

/** Returns the open files of the process, if the system lists them. */
async function openFiles(): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd').catch(() => [])
  return Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
}
