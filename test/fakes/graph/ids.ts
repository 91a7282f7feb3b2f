import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { GraphKind } from './node.ts'

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** Of such a shape are the ids of drives, whether or not there is one. */
export const DRIVE_IDS: Readonly<Record<GraphKind, RegExp>> = {
  business: /^b![\w-]{64}$/,
  personal: /^[0-9a-f]{16}$/
}

export function newDriveId(kind: GraphKind): string {
  return kind === 'business' ? `b!${randomBytes(48).toString('base64url')}` : randomBytes(8).toString('hex')
}

/** @param number in personal drives, which count what they hold */
export function newItemId(kind: GraphKind, driveId: string, number: number): string {
  if (kind === 'personal') return `${driveId.toUpperCase()}!${number}`
  return `01${Array.from(randomBytes(32), (byte) => BASE32[byte % BASE32.length]).join('')}`
}

export function newSiteId(): string {
  return `contoso.sharepoint.com,${randomUUID()},${randomUUID()}`
}

/** A user's id, which is always the same for the same name. */
export function userIdOf(kind: GraphKind, user: string): string {
  const hex = createHash('md5').update(user).digest('hex')
  if (kind === 'personal') return hex.slice(0, 16)
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
