import { type RotationProgress, type RotationSummary, rotateKeys as rotate } from './connections/rotate-keys.ts'
import { createCredentialCipher } from './infra/crypto/envelope.ts'
import { createKeyRing, type KeyRingOptions } from './infra/crypto/key-ring.ts'
import { sealedPrefix } from './infra/crypto/sealed-text.ts'
import type { PrismaLike } from './infra/db/prisma-client.ts'
import { createSealedRowStore } from './infra/db/sealed-row-store.ts'

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
  return await rotate({
    rows: createSealedRowStore(prisma, sealedPrefix(keyRing.current)),
    cipher: createCredentialCipher(keyRing),
    batchSize,
    onProgress,
    signal
  })
}

export type { RotationProgress, RotationSummary }
