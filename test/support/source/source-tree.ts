import { readdirSync } from 'node:fs'
import { sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = new URL('../../../', import.meta.url)

/** Returns the TypeScript files of `src`, `server` and `web`, relative to {@link ROOT}, without generated files and declarations. */
export function sourcePaths(): string[] {
  return ['src', 'server', 'web']
    .flatMap((folder) => {
      const names = readdirSync(fileURLToPath(new URL(folder, ROOT)), { recursive: true, encoding: 'utf8' })
      return names.map((name) => `${folder}/${name.split(sep).join('/')}`)
    })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts') && !path.startsWith('src/generated/'))
    .sort()
}
