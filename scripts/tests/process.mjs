// Runs compiled test files in this process, one after the other, each as one subtest. `TEST_FILES` lists them, separated
// by spaces; they are no arguments, since tap derives the names of fixture folders from those.
import { pathToFileURL } from 'node:url'
import tap from 'tap'
import { compiledPath } from './compile.mjs'

/** Ends a test file that hangs. No file takes that long, even on a busy machine. */
const TIMEOUT_MS = 600_000

/** The subtest of the file being imported. */
export const current = { test: tap }

async function run(files) {
  tap.setTimeout(0)
  for (const file of files) {
    await tap.test(file, { timeout: TIMEOUT_MS }, async (t) => {
      current.test = t
      await import(pathToFileURL(compiledPath(file)).href)
    })
  }
}

// Not awaited: test files import this module, by way of `current.mjs`.
void run(process.env.TEST_FILES.split(' '))
