import { posix } from 'node:path'
import { STORAGE_ERROR_CODES } from '../../src/domain/errors.ts'
import { parseSource } from './source-file.ts'
import type { Import, ParsedSource, SourceText } from './source-file.ts'

export type Rule =
  | 'room'
  | 'edge'
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

export const LONG_LINES = 250
export const MAX_LINES = 400

/** The folders of `src` that a file may import besides its own. Files directly in `src` may import all. */
const ROOMS: ReadonlyMap<string, { readonly values: readonly string[]; readonly types?: readonly string[] }> = new Map([
  ['domain', { values: [] }],
  ['infra', { values: ['domain'] }],
  ['providers', { values: ['domain', 'infra/net'] }],
  ['layers', { values: ['domain'] }],
  ['listing', { values: ['domain'] }],
  ['resolver', { values: ['domain'] }],
  ['connections', { values: ['domain'] }],
  ['http', { values: ['domain'], types: ['listing', 'resolver', 'connections'] }],
  ['client', { values: [] }],
  ['picker', { values: ['client'], types: ['domain'] }],
  ['page', { values: ['picker'], types: ['domain', 'client'] }]
])

/** The server may import all folders, like files directly in `src`. The plugin must not import the server. */
const SERVER = 'server'
const SERVER_FILES: ReadonlySet<string> = new Set(['server.ts', 'config.ts'])

/** These run in browsers and are built separately. Server code must not load them. */
const BROWSER_ROOMS: ReadonlySet<string> = new Set(['picker', 'page'])

/** Also runs in browsers, independently. Server code does not need it. */
const CLIENT = 'client'

/** The clock of the server and the clock of browsers. */
const CLOCK_FILES: ReadonlySet<string> = new Set(['infra/clock.ts', 'picker/clock.ts'])

/** Dependencies of the package that are always loaded with it. */
const ALWAYS_LOADED: ReadonlySet<string> = new Set(['lru-cache'])

/** The programs and the modules that read the environment for them. */
const ENVIRONMENT_READERS: ReadonlySet<string> = new Set([
  'config.ts',
  'server.ts',
  'server/migrate.ts',
  'server/rotate-keys.ts'
])

const CLOCKS: ReadonlySet<string> = new Set(['Date.now', 'performance.now', 'process.hrtime', 'process.uptime'])
const DATABASE = /^(?:@prisma\/|\.prisma\/|prisma(?:\/|$)|pg(?:[-/]|$)|@electric-sql\/)/
const CODES: ReadonlySet<string> = new Set(STORAGE_ERROR_CODES)

/** Returns all violations of the architecture rules in `files`. Skips generated files. */
export function checkArchitecture(files: readonly SourceText[]): Finding[] {
  const parsed = files.filter(({ path }) => !isGenerated(path)).map(parseSource)
  return [...parsed.flatMap(checkFile), ...findCycles(parsed)]
}

/** Returns the files that approach the size limit. */
export function longFiles(files: readonly SourceText[]): string[] {
  return files
    .map(parseSource)
    .filter(({ path, lines }) => lines > LONG_LINES && !isGenerated(path))
    .map(({ path, lines }) => `${path}: ${lines} lines`)
}

function checkFile(file: ParsedSource): Finding[] {
  const { path, lines, members, numbers } = file
  const findings: Finding[] = []
  const report = (rule: Rule, line: number | null, what: string): void => {
    findings.push({ rule, path, message: `${path}${line === null ? '' : `:${line}`} ${what}` })
  }

  if (!['', SERVER].includes(roomOf(path)) && !ROOMS.has(roomOf(path)))
    report('room', null, 'is in a room that no rule knows')
  if (lines > MAX_LINES) report('length', null, `has ${lines} lines, at most ${MAX_LINES}`)
  if (/^(?:utils?|helpers?)\.ts$/.test(posix.basename(path))) report('name', null, 'is named after nothing')
  for (const each of file.imports) checkImport(path, each, report)
  for (const { name, line } of members) {
    if (CLOCKS.has(name) && !CLOCK_FILES.has(path)) report('clock', line, `reads ${name}: take a Clock`)
    if (name === 'process.env' && !ENVIRONMENT_READERS.has(path)) {
      report('environment', line, 'reads process.env')
    }
  }
  for (const { name, value, line } of numbers) {
    const isStatus = CODES.has(name) && value >= 400 && value <= 599
    if (isStatus && !isIn(path, 'http')) report('status', line, `gives ${name} the status ${value}`)
  }
  return findings
}

function checkImport(path: string, found: Import, report: (rule: Rule, line: number, what: string) => void): void {
  const { kind, specifier, target, line } = found
  if (specifier === null) {
    report('computed-import', line, 'imports a computed name')
  } else if (target === null) {
    if (DATABASE.test(specifier) && !isIn(path, 'infra/db')) report('database', line, `imports ${specifier}`)
    const isBuiltIn = specifier.startsWith('node:') || ALWAYS_LOADED.has(specifier)
    if (isIn(path, 'providers') && kind === 'static' && !isBuiltIn) {
      report('sdk', line, `imports ${specifier} with the module, not at first use`)
    }
  } else if (isIn(target, 'generated')) {
    if (!isIn(path, 'infra/db')) report('database', line, `imports ${target}`)
  } else if (!mayImport(path, target, kind === 'type')) {
    report('edge', line, `must not import ${target}${kind === 'type' ? '' : ' at run time'}`)
  }
}

function mayImport(from: string, to: string, isType: boolean): boolean {
  if (to.startsWith('../')) return false
  const room = roomOf(from)
  const isOfServer = room === SERVER || SERVER_FILES.has(from)
  if (!isOfServer && (isIn(to, SERVER) || SERVER_FILES.has(to))) return false
  if (BROWSER_ROOMS.has(roomOf(to)) && !BROWSER_ROOMS.has(room)) return false
  if (isIn(to, CLIENT) && room !== CLIENT && !BROWSER_ROOMS.has(room)) return false
  if (room === '' || isOfServer || room === roomOf(to)) return true
  const allowed = ROOMS.get(room)
  return [...(allowed?.values ?? []), ...((isType && allowed?.types) || [])].some((folder) => isIn(to, folder))
}

/** Returns the first folder of a path; empty for a file directly in `src`. */
function roomOf(path: string): string {
  return path.slice(0, Math.max(path.indexOf('/'), 0))
}

/** The database client, and the types generated from `openapi.json`. */
function isGenerated(path: string): boolean {
  return isIn(path, 'generated') || path === 'client/api-types.ts'
}

function isIn(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`)
}

/** Returns one finding per import that closes a cycle, depth first. Type imports count. */
function findCycles(files: readonly ParsedSource[]): Finding[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const done = new Set<string>()
  const findings: Finding[] = []

  function visit(file: ParsedSource, way: readonly string[]): void {
    const at = way.indexOf(file.path)
    if (at !== -1) {
      const cycle = [...way.slice(at), file.path].join(' → ')
      findings.push({ rule: 'cycle', path: file.path, message: `${cycle} is a cycle` })
      return
    }
    if (done.has(file.path)) return
    for (const { target } of file.imports) {
      const next = target === null ? undefined : byPath.get(target)
      if (next !== undefined) visit(next, [...way, file.path])
    }
    done.add(file.path)
  }

  for (const file of files) visit(file, [])
  return findings
}
