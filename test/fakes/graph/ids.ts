import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { GraphKind } from './node.ts'

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** The format of drive IDs, whether or not the drive exists. */
export const DRIVE_IDS: Readonly<Record<GraphKind, RegExp>> = {
  business: /^b![\w-]{64}$/,
  personal: /^[0-9a-f]{16}$/
}

export function newDriveId(kind: GraphKind): string {
  return kind === 'business' ? `b!${randomBytes(48).toString('base64url')}` : randomBytes(8).toString('hex')
}

/** @param number counts the items of a personal drive */
export function newItemId(kind: GraphKind, driveId: string, number: number): string {
  if (kind === 'personal') return `${driveId.toUpperCase()}!${number}`
  return `01${Array.from(randomBytes(32), (byte) => BASE32[byte % BASE32.length]).join('')}`
}

export function newSiteId(): string {
  return `contoso.sharepoint.com,${randomUUID()},${randomUUID()}`
}

/** Returns the ID of a user, which is constant for a name. */
export function userIdOf(kind: GraphKind, user: string): string {
  const hex = createHash('md5').update(user).digest('hex')
  if (kind === 'personal') return hex.slice(0, 16)
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
