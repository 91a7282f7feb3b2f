import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { errorCodeOf } from '../errors.ts'

interface Holder {
  readonly pid: number
  readonly host: string
  /** Start of the process according to its kernel; `null` if unreadable. Distinguishes a reused pid. */
  readonly began: string | null
  readonly nonce: string
}

/**
 * Takes the lock file `path` for this process, or throws an error that names its holder. The lock of a process that
 * has died is taken over. The lock file is created by `link`, so it always has its whole content.
 *
 * @returns a function that releases the lock
 */
export function lockFolder(path: string, folder: string): () => void {
  const self: Holder = { pid: process.pid, host: hostname(), began: readStartTime(process.pid), nonce: randomUUID() }
  const tempPath = `${path}.${self.nonce}`
  writeFileSync(tempPath, JSON.stringify(self), { mode: 0o600 })
  try {
    while (!tryLink(tempPath, path)) {
      const holder = readHolder(path)
      if (holder === undefined) continue // released meanwhile
      if (isAlive(holder)) throw new Error(heldMessage(folder, path, holder))
      removeStaleLock(tempPath, path, holder, folder)
    }
  } finally {
    rmSync(tempPath, { force: true })
  }
  return () => {
    if (readHolder(path)?.nonce === self.nonce) rmSync(path, { force: true })
  }
}

/**
 * Removes a dead process's lock. Only one of the processes that have read it may do so at a time: otherwise a slower
 * one would remove the new lock of a faster one. It therefore takes a claim, and reads the lock again under it.
 * Exported for its test: the race cannot be reproduced from outside.
 */
export function removeStaleLock(
  tempPath: string,
  path: string,
  staleHolder: Pick<Holder, 'nonce'>,
  folder: string
): void {
  const claim = `${path}.${staleHolder.nonce}.claim`
  if (!tryLink(tempPath, claim)) {
    const claimant = readHolder(claim)
    if (claimant === undefined) return
    throw new Error(heldMessage(folder, claim, claimant))
  }
  try {
    if (readHolder(path)?.nonce === staleHolder.nonce) rmSync(path, { force: true })
  } finally {
    rmSync(claim, { force: true })
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (errorCodeOf(error) === 'EEXIST') return false
    throw error
  }
}

function readHolder(path: string): Holder | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const { pid, host, began, nonce } = JSON.parse(text) as Record<keyof Holder, unknown>
    if (Number.isSafeInteger(pid) && typeof host === 'string' && typeof nonce === 'string') {
      return { pid: pid as number, host, began: typeof began === 'string' ? began : null, nonce }
    }
  } catch {
    // The error below covers this case, too.
  }
  throw new Error(`${path} is not a lock file of this package. Move it to another folder`)
}

/** Unknown means alive: opening a folder twice loses rows, while a refusal costs the operator one command. */
function isAlive(holder: Holder): boolean {
  if (holder.host !== hostname()) return true
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if (errorCodeOf(error) === 'ESRCH') return false
  }
  const began = readStartTime(holder.pid)
  return began === null || holder.began === null || began === holder.began
}

/** Reads field 22 of /proc/PID/stat (Linux), after the name in parentheses, which may contain any characters. */
function readStartTime(pid: number): string | null {
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
    `${folder} is in use by process ${String(pid)} on ${host}: only one process can open a folder at a time. ` +
    `If that process has ended, remove ${lock}`
  )
}
