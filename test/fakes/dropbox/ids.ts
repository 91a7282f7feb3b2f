import { createHash, randomBytes, randomInt } from 'node:crypto'

export const newId = () => `id:${randomBytes(16).toString('base64url')}`

export const newRev = () => `01${randomBytes(12).toString('hex')}`

export const newNamespaceId = () => String(randomInt(1_000_000_000, 10_000_000_000))

/** Returns a pseudo-random rank of an ID. */
export const rankOf = (id: string) => createHash('sha1').update(id).digest().readUInt32BE()
