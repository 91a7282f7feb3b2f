import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

interface Figures {
  readonly downloadedMib: number
  readonly rssAddedMib: number
  readonly heldAddedMib: number
}

const SIZE_MIB = 256
const LIMIT_MIB = 64
const SCRIPT = fileURLToPath(new URL('../../bench/slow-client-memory.mjs', import.meta.url))

t.test(`a slow client's download of ${SIZE_MIB} MiB takes less than ${LIMIT_MIB} MiB of memory`, async (t) => {
  // The loaders of the test must not affect the measured processes.
  const { NODE_OPTIONS: _, ...env } = process.env
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, String(SIZE_MIB)], { env })
  const figures = JSON.parse(stdout) as Figures
  t.equal(figures.downloadedMib, SIZE_MIB)
  t.ok(figures.rssAddedMib < LIMIT_MIB, `${figures.rssAddedMib} MiB more resident memory at most`)
  t.ok(figures.heldAddedMib < LIMIT_MIB, `${figures.heldAddedMib} MiB more heap and external memory at most`)
})
