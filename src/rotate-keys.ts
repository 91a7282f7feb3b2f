import type { CredentialBinding, CredentialCipher, SealedRow, SealedRowStore } from './core/stores.ts'
import { createCredentialCipher } from './crypto/credentials.ts'
import { createKeyRing, type KeyRingOptions, sealedPrefix } from './crypto/key-ring.ts'
import type { PrismaLike } from './db/prisma-client.ts'
import { createSealedRowStore } from './db/sealed-row-store.ts'
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

/**
 * Reseals the credentials of all connections with the current key, so that older keys can be removed. The application
 * may run meanwhile, and a rotation that was stopped can be started again.
 *
 * @throws Error that names the invalid part of `encryption`; StorageError `DATABASE_UNAVAILABLE`
 */
export async function rotateKeys(options: RotateKeysOptions): Promise<RotationSummary> {
  const { prisma, encryption, batchSize = 200, onProgress = () => {}, signal = new AbortController().signal } = options
  const keyRing = createKeyRing(encryption)
  return await resealRows({
    rows: createSealedRowStore(prisma, sealedPrefix(keyRing.current)),
    cipher: createCredentialCipher(keyRing),
    batchSize,
    onProgress,
    signal
  })
}

export interface ResealRowsPorts {
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
export async function resealRows(ports: ResealRowsPorts): Promise<RotationSummary> {
  const { rows, onProgress, signal } = ports
  const total = await rows.countOutdated()
  let resealed = 0
  let done = 0
  let last: Pass = { resealed: 0, changedMeanwhile: 0, unreadable: [] }
  for (let pass = 0; pass < MAX_PASSES && !signal.aborted; pass += 1) {
    last = await runPass(ports, (count) => {
      done = Math.min(done + count, total)
      onProgress({ done, total })
    })
    resealed += last.resealed
    if (last.changedMeanwhile === 0) break
  }
  return { resealed, unreadable: last.unreadable, left: (await rows.countOutdated()) - last.unreadable.length }
}

async function runPass({ rows, cipher, batchSize, signal }: ResealRowsPorts, advance: (count: number) => void) {
  const pass: Pass = { resealed: 0, changedMeanwhile: 0, unreadable: [] }
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
    advance(batch.length)
  }
  return pass
}

/** Returns `null` for an unreadable row. */
function reseal(cipher: CredentialCipher, { id, userId, provider, sealedCredentials }: SealedRow): string | null {
  const binding: CredentialBinding = { userId, provider, connectionId: id }
  try {
    return cipher.seal(cipher.open(sealedCredentials, binding), binding)
  } catch (error) {
    if (isStorageError(error, 'CREDENTIALS_UNREADABLE')) return null
    throw error
  }
}
