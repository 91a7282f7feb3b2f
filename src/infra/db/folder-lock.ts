import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'

interface Holder {
  readonly pid: number
  readonly host: string
  /** When the process began, as its kernel tells; `null` where that cannot be read. Tells a pid from its reuse. */
  readonly began: string | null
  readonly nonce: string
}

/**
 * Takes the lock file `path` for this process, or throws an error that names who has it. A lock whose process has
 * died is taken over. The file is the lock: it appears by `link`, whole or not at all.
 *
 * @returns releases the lock
 */
export function lockFolder(path: string, folder: string): () => void {
  const self: Holder = { pid: process.pid, host: hostname(), began: beganAt(process.pid), nonce: randomUUID() }
  const draft = `${path}.${self.nonce}`
  writeFileSync(draft, JSON.stringify(self), { mode: 0o600 })
  try {
    while (!linked(draft, path)) {
      const holder = readHolder(path)
      if (holder === undefined) continue // released at this moment
      if (isAlive(holder)) throw new Error(heldMessage(folder, path, holder))
      removeDead(draft, path, holder, folder)
    }
  } finally {
    rmSync(draft, { force: true })
  }
  return () => {
    if (readHolder(path)?.nonce === self.nonce) rmSync(path, { force: true })
  }
}

/**
 * Removes a dead process's lock. Of the processes that saw it, one at a time may: else a slower one would remove
 * the lock that a faster one has meanwhile put in its place. Hence the claim, and the second look under it.
 * Exported for its test: the race cannot be staged from outside.
 */
export function removeDead(draft: string, path: string, dead: Pick<Holder, 'nonce'>, folder: string): void {
  const claim = `${path}.${dead.nonce}.claim`
  if (!linked(draft, claim)) {
    const claimant = readHolder(claim)
    if (claimant === undefined) return
    throw new Error(heldMessage(folder, claim, claimant))
  }
  try {
    if (readHolder(path)?.nonce === dead.nonce) rmSync(path, { force: true })
  } finally {
    rmSync(claim, { force: true })
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

function readHolder(path: string): Holder | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const { pid, host, began, nonce } = JSON.parse(text) as Record<keyof Holder, unknown>
    if (Number.isSafeInteger(pid) && typeof host === 'string' && typeof nonce === 'string') {
      return { pid: pid as number, host, began: typeof began === 'string' ? began : null, nonce }
    }
  } catch {
    // Told below: whatever it is, it is no lock of ours.
  }
  throw new Error(`${path} is not a lock file of this package: move it away`)
}

/** Unknown counts as alive: to open a folder twice loses rows, to refuse it costs the operator one command. */
function isAlive(holder: Holder): boolean {
  if (holder.host !== hostname()) return true
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false
  }
  const began = beganAt(holder.pid)
  return began === null || holder.began === null || began === holder.began
}

/** Field 22 of /proc/PID/stat (Linux), counted behind the name in parentheses, which may hold anything. */
function beganAt(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    return ticks === undefined ? null : `${boot}:${ticks}`
  } catch {
    return null
  }
}

function heldMessage(folder: string, lock: string, { pid, host }: Holder): string {
  return (
    `${folder} is in use by process ${String(pid)} on ${host}: a folder can be open in one process alone. ` +
    `If that process has ended, remove ${lock}`
  )
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
