import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Whether a module is the program that was started, and not imported by another. */
export function isMain(moduleUrl: string): boolean {
  const [, script] = process.argv
  return script !== undefined && realpathSync(script) === fileURLToPath(moduleUrl)
}
