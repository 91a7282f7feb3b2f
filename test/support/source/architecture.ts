import { posix } from 'node:path'
import { STORAGE_ERROR_CODES } from '../../../src/errors.ts'
import { type Import, type ParsedSource, parseSource, type SourceText } from './source-file.ts'

export type Rule =
  | 'module'
  | 'import'
  | 'database'
  | 'clock'
  | 'environment'
  | 'status'
  | 'cycle'
  | 'length'
  | 'name'
  | 'sdk'
  | 'computed-import'

export interface Finding {
  readonly rule: Rule
  readonly path: string
  readonly message: string
}

export const LONG_FILE_LINES = 300
export const MAX_LINES = 500

interface AllowedImports {
  /** Modules that may be loaded. Each also contains its subfolders. */
  readonly values: readonly string[]
  /** Modules of which only types may be imported. */
  readonly types?: readonly string[]
}

/** The database client, and the types of the routes. */
const GENERATED = 'src/generated'

const CORE = ['src/core', 'src/errors.ts']

/**
 * The import table: what each module may import besides itself. Files directly in `src` compose the package and may
 * import all of it; nothing may import them except each other and the server. CONTRIBUTING.md has the same table.
 */
export const IMPORT_TABLE: Readonly<Record<string, AllowedImports>> = {
  'src/errors.ts': { values: [] },
  'src/core': { values: ['src/errors.ts'] },
  'src/cache': { values: CORE },
  'src/freshness': { values: [...CORE, 'src/cache'] },
  'src/listing': { values: [...CORE, 'src/cache', 'src/freshness'], types: ['src/connections'] },
  'src/events': { values: [...CORE, 'src/cache', 'src/freshness', 'src/listing'], types: ['src/connections'] },
  'src/layers': { values: CORE },
  'src/connections': { values: [...CORE, 'src/layers'], types: ['src/db'] },
  'src/documents': { values: CORE, types: ['src/connections'] },
  'src/transfers': { values: CORE, types: ['src/connections'] },
  'src/crypto': { values: CORE },
  'src/db': { values: [...CORE, 'src/generated/prisma'] },
  'src/net': { values: CORE },
  'src/oauth': { values: [...CORE, 'src/net'] },
  'src/redis': { values: CORE, types: ['src/cache', 'src/crypto'] },
  'src/telemetry': { values: [...CORE, 'src/net'] },
  'src/providers': { values: [...CORE, 'src/net'] },
  'src/options': {
    values: [...CORE, 'src/providers', 'src/redis'],
    types: ['src/connections', 'src/crypto', 'src/db', 'src/telemetry']
  },
  'src/http': {
    values: CORE,
    types: ['src/cache', 'src/connections', 'src/documents', 'src/events', 'src/listing', 'src/transfers']
  },
  'src/client': { values: [], types: ['src/generated/openapi.ts'] },
  'web/picker': { values: ['src/client'], types: CORE },
  'web/page': { values: ['web/picker'], types: [...CORE, 'src/client'] }
}

/** Published for browsers. The package and the server must not need them. */
const BROWSER_MODULES: readonly string[] = ['src/client', 'web']

/** Reads the clocks: of the server, and of browsers. */
const CLOCK_FILES: ReadonlySet<string> = new Set(['src/core/time.ts', 'web/picker/clock.ts'])

/** Dependencies of the package itself that are loaded with it in any case. */
const ALWAYS_LOADED: ReadonlySet<string> = new Set(['lru-cache'])

/** The programs, and the file that reads the environment for the server. */
const ENVIRONMENT_READERS: ReadonlySet<string> = new Set([
  'server/config.ts',
  'server/main.ts',
  'server/migrate.ts',
  'server/rotate-keys.ts'
])

const CLOCKS: ReadonlySet<string> = new Set(['Date.now', 'performance.now', 'process.hrtime', 'process.uptime'])
const DATABASE_PACKAGES = /^(?:@prisma\/|\.prisma\/|prisma(?:\/|$)|pg(?:[-/]|$)|@electric-sql\/)/
const ERROR_CODES: ReadonlySet<string> = new Set(STORAGE_ERROR_CODES)

/** Returns everything in `files` that breaks a rule. Generated files are skipped. */
export function checkArchitecture(files: readonly SourceText[]): Finding[] {
  const parsed = files.filter(({ path }) => !isIn(path, GENERATED)).map(parseSource)
  return [...parsed.flatMap(checkFile), ...findCycles(parsed)]
}

/** Returns the files that approach the maximal length. */
export function longFiles(files: readonly SourceText[]): string[] {
  return files
    .map(parseSource)
    .filter(({ path, lines }) => lines > LONG_FILE_LINES && !isIn(path, GENERATED))
    .map(({ path, lines }) => `${path}: ${lines} lines`)
}

function checkFile(file: ParsedSource): Finding[] {
  const { path, lines, members, numbers } = file
  const findings: Finding[] = []
  const report = (rule: Rule, line: number | null, message: string): void => {
    findings.push({ rule, path, message: `${path}${line === null ? '' : `:${line}`} ${message}` })
  }

  if (IMPORT_TABLE[moduleOf(path)] === undefined && !isComposition(path) && !isIn(path, 'server')) {
    report('module', null, 'is in a module that the import table does not contain')
  }
  if (lines > MAX_LINES) report('length', null, `has ${lines} lines, at most ${MAX_LINES} are allowed`)
  if (/^(?:utils?|helpers?)\.ts$/.test(posix.basename(path))) report('name', null, 'needs a name that says its subject')
  for (const each of file.imports) checkImport(path, each, report)
  for (const { name, line } of members) {
    if (CLOCKS.has(name) && !CLOCK_FILES.has(path)) report('clock', line, `reads ${name}: take a Clock`)
    if (name === 'process.env' && !ENVIRONMENT_READERS.has(path)) {
      report('environment', line, 'reads process.env')
    }
  }
  for (const { name, value, line } of numbers) {
    const isStatus = ERROR_CODES.has(name) && value >= 400 && value <= 599
    if (isStatus && path !== 'src/errors.ts') report('status', line, `gives ${name} the status ${value}`)
  }
  return findings
}

function checkImport(path: string, found: Import, report: (rule: Rule, line: number, message: string) => void): void {
  const { kind, specifier, target, line } = found
  if (specifier === null) {
    report('computed-import', line, 'imports a computed name')
  } else if (target === null) {
    if (DATABASE_PACKAGES.test(specifier) && !isIn(path, 'src/db')) report('database', line, `imports ${specifier}`)
    const isBuiltIn = specifier.startsWith('node:') || ALWAYS_LOADED.has(specifier)
    if (isIn(path, 'src/providers') && kind === 'static' && !isBuiltIn) {
      report('sdk', line, `imports ${specifier} with the module, not at first use`)
    }
  } else if (isIn(target, 'src/generated/prisma')) {
    if (!isIn(path, 'src/db')) report('database', line, `imports ${target}`)
  } else if (!canImport(path, target, kind === 'type')) {
    report('import', line, `must not import ${target}${kind === 'type' ? '' : ' at run time'}`)
  }
}

function canImport(from: string, to: string, isType: boolean): boolean {
  const module = moduleOf(from)
  if (module === moduleOf(to) && !isComposition(from)) return true
  if (isComposition(from) || isIn(from, 'server')) {
    const isPackageCode = isIn(to, 'src') || (isIn(from, 'server') && isIn(to, 'server'))
    return isPackageCode && !BROWSER_MODULES.some((each) => isIn(to, each))
  }
  const allowed = IMPORT_TABLE[module]
  return [...(allowed?.values ?? []), ...((isType && allowed?.types) || [])].some((each) => isIn(to, each))
}

/** A file directly in `src`, except the error catalogue. */
function isComposition(path: string): boolean {
  return /^src\/[^/]+$/.test(path) && path !== 'src/errors.ts'
}

/** `src/core` for `src/core/time.ts`, and `src/errors.ts` for itself. */
function moduleOf(path: string): string {
  return path.split('/', 2).join('/')
}

function isIn(path: string, module: string): boolean {
  return path === module || path.startsWith(`${module}/`)
}

/** Returns one finding for each import that leads back to a file on the path to it, depth first. Type imports count. */
function findCycles(files: readonly ParsedSource[]): Finding[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const done = new Set<string>()
  const findings: Finding[] = []

  function visit(file: ParsedSource, ancestors: readonly string[]): void {
    const at = ancestors.indexOf(file.path)
    if (at !== -1) {
      const cycle = [...ancestors.slice(at), file.path].join(' → ')
      findings.push({ rule: 'cycle', path: file.path, message: `${cycle} is a cycle` })
      return
    }
    if (done.has(file.path)) return
    for (const { target } of file.imports) {
      const next = target === null ? undefined : byPath.get(target)
      if (next !== undefined) visit(next, [...ancestors, file.path])
    }
    done.add(file.path)
  }

  for (const file of files) visit(file, [])
  return findings
}
