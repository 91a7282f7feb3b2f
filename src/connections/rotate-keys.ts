import { isStorageError } from '../domain/errors.ts'
import type { CredentialBinding, CredentialCipher, SealedRow, SealedRowStore } from '../domain/ports.ts'

export interface RotateKeysPorts {
  readonly rows: SealedRowStore
  readonly cipher: CredentialCipher
  /** At most so many rows are read and written at once. */
  readonly batchSize: number
  readonly onProgress: (progress: RotationProgress) => void
  /** Ends the rotation after the batch that is under way. */
  readonly signal: AbortSignal
}

export interface RotationProgress {
  /** Rows that have been looked at. */
  readonly done: number
  /** Rows that were under an older key when the rotation began. */
  readonly total: number
}

export interface RotationSummary {
  /** Rows that were sealed anew with the current key. */
  readonly resealed: number
  /** Ids of connections that no key of the ring opens, or that were altered: their users have to connect again. */
  readonly unreadable: readonly string[]
  /** Rows that still are under an older key: none, unless the rotation was ended early. */
  readonly left: number
}

/** Rows that are changed again and again while they are sealed anew are left to whoever changes them. */
const MAX_PASSES = 5

interface Pass {
  resealed: number
  changedMeanwhile: number
  readonly unreadable: string[]
}

/**
 * Seals every row anew that is under an older key, while the application runs. Each batch is one statement that
 * replaces exactly what was read: a rotation may end anywhere, and the next one goes on with what is left.
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

/** `null` for what cannot be read. */
function sealAnew(cipher: CredentialCipher, { id, userId, provider, sealedCredentials }: SealedRow): string | null {
  const binding: CredentialBinding = { userId, provider, connectionId: id }
  try {
    return cipher.seal(cipher.open(sealedCredentials, binding), binding)
  } catch (error) {
    if (isStorageError(error, 'CREDENTIALS_UNREADABLE')) return null
    throw error
  }
}
