import { createHash } from 'node:crypto'

/** The inputs of a digest. */
export interface DigestInput {
  readonly algorithm: string
  readonly username: string
  readonly password: string
  readonly realm: string
  readonly nonce: string
  readonly nc: string
  readonly cnonce: string
  readonly uri: string
  readonly method: string
}

/** Computes `response` of RFC 7616 with `qop=auth`, independently of the code that verifies it. */
export function digestResponse({
  algorithm,
  username,
  password,
  realm,
  nonce,
  nc,
  cnonce,
  uri,
  method
}: DigestInput): string {
  const hash = (text: string) =>
    createHash(algorithm.replace('-sess', '') === 'MD5' ? 'md5' : 'sha256')
      .update(text)
      .digest('hex')
  const userHash = hash(`${username}:${realm}:${password}`)
  const key = algorithm.endsWith('-sess') ? hash(`${userHash}:${nonce}:${cnonce}`) : userHash
  return hash(`${key}:${nonce}:${nc}:${cnonce}:auth:${hash(`${method}:${uri}`)}`)
}
