import { isStorageError } from '../domain/errors.ts'
import type { CredentialBinding, CredentialCipher, SealedRow, SealedRowStore } from '../domain/ports.ts'

export interface RotateKeysPorts {
  readonly rows: SealedRowStore
  readonly cipher: CredentialCipher
  /** Rows per read and write. */
  readonly batchSize: number
  readonly onProgress: (progress: RotationProgress) => void
  /** Stops the rotation after the current batch. */
  readonly signal: AbortSignal
}

export interface RotationProgress {
  /** Rows processed so far. */
  readonly done: number
  /** Rows under an older key at the start. */
  readonly total: number
}

export interface RotationSummary {
  /** Rows resealed with the current key. */
  readonly resealed: number
  /** Ids of connections that no key of the ring opens, or that were altered: their users must connect again. */
  readonly unreadable: readonly string[]
  /** Rows still under an older key: 0, unless the rotation was stopped early. */
  readonly left: number
}

/** Rows that keep changing during the rotation are left to the process that changes them. */
const MAX_PASSES = 5

interface Pass {
  resealed: number
  changedMeanwhile: number
  readonly unreadable: string[]
}

/**
 * Reseals every row that is under an older key, while the application runs. Each batch is one statement that replaces
 * exactly the rows that were read: a rotation may stop anywhere, and the next one continues.
 */
export async function rotateKeys(ports: RotateKeysPorts): Promise<RotationSummary> {
  const { rows, onProgress, signal } = ports
  const total = await rows.countOld()
  let resealed = 0
  let done = 0
  let last: Pass = { resealed: 0, changedMeanwhile: 0, unreadable: [] }
  for (let pass = 0; pass < MAX_PASSES && !signal.aborted; pass += 1) {
    last = await onePass(ports, (count) => {
      done = Math.min(done + count, total)
      onProgress({ done, total })
    })
    resealed += last.resealed
    if (last.changedMeanwhile === 0) break
  }
  return { resealed, unreadable: last.unreadable, left: (await rows.countOld()) - last.unreadable.length }
}

async function onePass({ rows, cipher, batchSize, signal }: RotateKeysPorts, advance: (count: number) => void) {
  const pass: Pass = { resealed: 0, changedMeanwhile: 0, unreadable: [] }
  let after = ''
  while (!signal.aborted) {
    const batch = await rows.readOld(after, batchSize)
    const last = batch.at(-1)
    if (last === undefined) break
    const fresh = batch.flatMap((row) => {
      const sealed = sealAnew(cipher, row)
      if (sealed === null) pass.unreadable.push(row.id)
      return sealed === null ? [] : [{ ...row, sealedCredentials: sealed }]
    })
    const replaced = await rows.replace(fresh)
    pass.resealed += replaced
    pass.changedMeanwhile += fresh.length - replaced
    after = last.id
    advance(batch.length)
  }
  return pass
}

/** Returns `null` for an unreadable row. */
function sealAnew(cipher: CredentialCipher, { id, userId, provider, sealedCredentials }: SealedRow): string | null {
  const binding: CredentialBinding = { userId, provider, connectionId: id }
  try {
    return cipher.seal(cipher.open(sealedCredentials, binding), binding)
  } catch (error) {
    if (isStorageError(error, 'CREDENTIALS_UNREADABLE')) return null
    throw error
  }
}
