import type { Connection } from '../../domain/connection.ts'
import type { ConnectionStore } from '../../domain/ports.ts'
import { COLUMNS } from './connection-columns.ts'
import type { PrismaTransaction } from './prisma-client.ts'
import { isStorable } from './storable-text.ts'

type Refused = Parameters<ConnectionStore['requireReauth']>[0]

/** Compare-and-swap updates: each matches the row in the version that was read, and changes no other. */
export function createConnectionUpdates(
  client: Pick<PrismaTransaction, 'cloudConnection'>
): Pick<ConnectionStore, 'reseal' | 'requireReauth' | 'noteCheck'> {
  const table = client.cloudConnection
  return {
    async reseal({ userId, id, version, credentialsRevision, status }, credentials) {
      const { count } = await table.updateMany({
        where: { id, userId, version, credentialsRevision, status },
        data: { credentials }
      })
      return count > 0
    },

    async requireReauth({ userId, id, credentialsRevision }: Refused) {
      if (!isStorable(userId, id)) return false
      const { count } = await table.updateMany({
        where: { id, userId, credentialsRevision, status: { in: ['ACTIVE', 'ERROR'] } },
        data: { status: 'REQUIRES_REAUTH', lastErrorCode: 'ACCESS_DENIED' }
      })
      return count > 0
    },

    async noteCheck({ userId, id, version, status, lastErrorCode }, failure): Promise<Connection | null> {
      if (status !== 'ACTIVE' && status !== 'ERROR') return null
      const isRepeated = failure !== null && lastErrorCode !== null
      const next = failure === null ? 'ACTIVE' : isRepeated ? 'ERROR' : status
      if (next !== status || failure !== lastErrorCode) {
        const { count } = await table.updateMany({
          where: { id, userId, version, status },
          data: { status: next, lastErrorCode: failure }
        })
        if (count === 0) return null
      }
      const noted = await table.findFirst({ where: { id, userId }, select: COLUMNS })
      return noted?.status === next ? noted : null
    }
  }
}
