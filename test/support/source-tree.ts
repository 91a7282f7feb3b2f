import { readdirSync } from 'node:fs'
import { sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const SRC = new URL('../../src/', import.meta.url)

/** Returns all TypeScript files with code, relative to `src`, with forward slashes; no generated files. */
export function sourcePaths(): string[] {
  return readdirSync(fileURLToPath(SRC), { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts') && !path.startsWith('generated/'))
    .sort()
}
