import type { CredentialCipher } from './core/stores.ts'
import { createCredentialCipher } from './crypto/credentials.ts'
import { createKeyRing, type KeyRingOptions } from './crypto/key-ring.ts'
import { sealedPrefix } from './crypto/primitives.ts'
import type { PrismaLike } from './db/prisma-client.ts'
import { type SealedRow, SealedRowStore } from './db/sealed-row-store.ts'
import { isStorageError } from './errors.ts'

export interface RotateKeysOptions {
  readonly prisma: Pick<PrismaLike, '$queryRaw' | '$executeRaw'>
  /** The current key, and the older keys of existing rows. */
  readonly encryption: KeyRingOptions
  /** Rows per statement. Default 200. */
  readonly batchSize?: number
  readonly onProgress?: (progress: RotationProgress) => void
  /** Stops the rotation after the current batch; another rotation continues from there. */
  readonly signal?: AbortSignal
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

/**
 * Reseals the credentials of all connections with the current key, so that older keys can be removed. The application
 * may run meanwhile: each batch is one statement that replaces exactly the rows that were read. A rotation that was
 * stopped can be started again, and continues.
 *
 * @throws Error that names the invalid part of `encryption`; StorageError `DATABASE_UNAVAILABLE`
 */
export async function rotateKeys(options: RotateKeysOptions): Promise<RotationSummary> {
  const { prisma, encryption, batchSize = 200, onProgress = () => {}, signal = new AbortController().signal } = options
  const keyRing = createKeyRing(encryption)
  const rows = new SealedRowStore(prisma, sealedPrefix(keyRing.current))
  const cipher = createCredentialCipher(keyRing)
  const total = await rows.countOutdated()
  let done = 0

  /** Reseals each outdated row once. */
  async function runPass() {
    const pass = { resealed: 0, changedMeanwhile: 0, unreadable: new Array<string>() }
    let afterId = ''
    while (!signal.aborted) {
      const batch = await rows.readOutdated(afterId, batchSize)
      const last = batch.at(-1)
      if (last === undefined) break
      const resealedRows = batch.flatMap((row) => {
        const sealed = reseal(cipher, row)
        if (sealed === null) pass.unreadable.push(row.id)
        return sealed === null ? [] : [{ ...row, sealedCredentials: sealed }]
      })
      const replaced = await rows.replace(resealedRows)
      pass.resealed += replaced
      pass.changedMeanwhile += resealedRows.length - replaced
      afterId = last.id
      done = Math.min(done + batch.length, total)
      onProgress({ done, total })
    }
    return pass
  }

  let resealed = 0
  let unreadable: readonly string[] = []
  for (let pass = 0; pass < MAX_PASSES && !signal.aborted; pass += 1) {
    const outcome = await runPass()
    resealed += outcome.resealed
    unreadable = outcome.unreadable
    if (outcome.changedMeanwhile === 0) break
  }
  return { resealed, unreadable, left: (await rows.countOutdated()) - unreadable.length }
}

/** Returns `null` for an unreadable row. */
function reseal(cipher: CredentialCipher, row: SealedRow): string | null {
  try {
    return cipher.seal(cipher.open(row.sealedCredentials, row), row)
  } catch (error) {
    if (isStorageError(error, 'CREDENTIALS_UNREADABLE')) return null
    throw error
  }
}
