import type { Fingerprint, PageContent } from './fingerprint.ts'

/** What covers a page on other instances (docs/decisions/0053). */
export interface StoredCoverage {
  /** `null`: the page is confirmed by its mark alone. */
  readonly scope: string | null
  readonly mark: string | null
  /** The last link of the scope's record that was known when the load began. `null` without a scope. */
  readonly link: string | null
  /** Wall-clock milliseconds of the change after which the page may be too old; `null` if it has settled. */
  readonly unsettledAt: number | null
  /** The folder is known from the request. */
  readonly content: Omit<PageContent, 'folderId'>
}

export interface StoredPage {
  /** The listing as JSON. */
  readonly body: Buffer
  /** `null`: the page is not covered. */
  readonly coverage: StoredCoverage | null
}

const VERSION = 1
/** The first byte of a page that is not covered. */
const OBJECT_START = 0x7b
const FINGERPRINTS = ['folder', 'all', 'folders', 'targets'] as const
/** Version, flags, and the lengths of the description, of the body and of each fingerprint. */
const HEAD_BYTES = 2 + 4 * (2 + FINGERPRINTS.length)
const HASH_BYTES = 4
const IS_VIRTUAL = 1
const SHOWS_INHERITED = 2
const IS_TOP = 4

export function isCoveredPage(bytes: Buffer): boolean {
  return bytes[0] !== OBJECT_START
}

/** Puts the coverage around a page. The fingerprints follow the body: 4 bytes for each hash, which nobody parses. */
export function encodeStoredPage(body: Buffer, coverage: StoredCoverage): Buffer {
  const { content, scope, mark, link, unsettledAt } = coverage
  const description = Buffer.from(JSON.stringify({ scope, mark, link, unsettledAt }))
  const fingerprints = FINGERPRINTS.map((name) => content[name])
  const hashCount = fingerprints.reduce((sum, { length }) => sum + length, 0)
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + description.length + body.length + hashCount * HASH_BYTES)
  bytes[0] = VERSION
  bytes[1] =
    (content.isVirtual ? IS_VIRTUAL : 0) | (content.showsInherited ? SHOWS_INHERITED : 0) | (content.isTop ? IS_TOP : 0)
  let at = 2
  for (const length of [description.length, body.length, ...fingerprints.map(({ length }) => length)]) {
    at = bytes.writeUInt32LE(length, at)
  }
  at += description.copy(bytes, at)
  at += body.copy(bytes, at)
  for (const fingerprint of fingerprints) for (const hash of fingerprint) at = bytes.writeUInt32LE(hash, at)
  return bytes
}

/** Returns `null` for a page of another version, or one whose lengths are wrong. */
export function decodeStoredPage(bytes: Buffer): StoredPage | null {
  if (!isCoveredPage(bytes)) return { body: bytes, coverage: null }
  if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION) return null
  const flags = bytes[1] ?? 0
  const lengths = Array.from({ length: 2 + FINGERPRINTS.length }, (_, at) => bytes.readUInt32LE(2 + 4 * at))
  const [descriptionLength = 0, bodyLength = 0, ...counts] = lengths
  const bodyAt = HEAD_BYTES + descriptionLength
  const hashCount = counts.reduce((sum, count) => sum + count, 0)
  let at = bodyAt + bodyLength
  if (bytes.length !== at + hashCount * HASH_BYTES) return null
  const readFingerprint = (count = 0): Fingerprint => {
    const hashes = new Uint32Array(count)
    for (let index = 0; index < count; index += 1, at += HASH_BYTES) hashes[index] = bytes.readUInt32LE(at)
    return hashes
  }
  const [folder, all, folders, targets] = counts.map(readFingerprint) as [
    Fingerprint,
    Fingerprint,
    Fingerprint,
    Fingerprint
  ]
  const isVirtual = (flags & IS_VIRTUAL) !== 0
  const showsInherited = (flags & SHOWS_INHERITED) !== 0
  const isTop = (flags & IS_TOP) !== 0
  // It is sealed: an instance has written it.
  const described = JSON.parse(bytes.toString('utf8', HEAD_BYTES, bodyAt)) as Omit<StoredCoverage, 'content'>
  const content = { folder, all, folders, targets, isVirtual, isTop, showsInherited }
  return { body: bytes.subarray(bodyAt, bodyAt + bodyLength), coverage: { ...described, content } }
}
