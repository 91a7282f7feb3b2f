// Runs compiled test files in this process, one after the other, each as one subtest. `TEST_FILES` names them, separated
// by spaces: tap makes folder names of arguments.
import { pathToFileURL } from 'node:url'
import tap from 'tap'
import { compiledPath } from './compile.mjs'

/** Ends a test that hangs. None is that slow, even on a busy machine. */
const TIMEOUT_MS = 600_000

/** Set while a file is imported. */
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
