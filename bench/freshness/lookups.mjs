// Compares look-ups of cached pages, without HTTP, with and without coverage.
import { inFreshProcess } from '../cache/compare.mjs'

const PROCESS = new URL('lookups-process.mjs', import.meta.url)

export async function rows({ rounds }) {
  return inFreshProcess(PROCESS, { flags: ['--import', 'tsx'], args: [JSON.stringify({ rounds })] })
}
