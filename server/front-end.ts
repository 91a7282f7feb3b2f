import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = new URL('../', import.meta.url)
const SCRIPTS: readonly (readonly string[])[] = [
  ['scripts/build-picker.mjs', 'build/web/picker'],
  ['scripts/build-page.mjs', 'build/web/page']
]

/**
 * Builds the page and the picker, for a program that runs from its sources. A built program has them already.
 *
 * @param programUrl `import.meta.url` of the program
 * @param onStep receives the name of each slow step
 */
export async function buildFrontEnd(programUrl: string, onStep: (step: string) => void): Promise<void> {
  if (!programUrl.endsWith('.ts')) return
  onStep('Building the page')
  for (const [script = '', ...folder] of SCRIPTS) {
    const args = [fileURLToPath(new URL(script, ROOT)), ...folder]
    try {
      await promisify(execFile)(process.execPath, args, { cwd: ROOT })
    } catch (cause) {
      const { stderr = '' } = cause as { stderr?: string }
      throw new Error(`The page cannot be built: ${script} failed. ${stderr.trim()}`, { cause })
    }
  }
}
