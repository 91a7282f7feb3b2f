import { createHash } from 'node:crypto'

/** The inputs of a digest. */
export interface Digest {
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
}: Digest): string {
  const hash = (text: string) =>
    createHash(algorithm.replace('-sess', '') === 'MD5' ? 'md5' : 'sha256')
      .update(text)
      .digest('hex')
  const plain = hash(`${username}:${realm}:${password}`)
  const key = algorithm.endsWith('-sess') ? hash(`${plain}:${nonce}:${cnonce}`) : plain
  return hash(`${key}:${nonce}:${nc}:${cnonce}:auth:${hash(`${method}:${uri}`)}`)
}
