import { createHash } from 'node:crypto'
import type { FastifyReply } from 'fastify'
import { attachment, withoutBidiControls } from '../domain/attachment.ts'
import type { Validators } from './preconditions.ts'

const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
/** RFC 9110, 8.3.1. It becomes a header. */
const MEDIA_TYPE = new RegExp(
  `^${TOKEN}/${TOKEN}(?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|"[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]*"))*$`
)
const MAX_MEDIA_TYPE_LENGTH = 255
/** In characters, not in halves of them. File systems take no more, and clients refuse headers of many kilobytes. */
const TOO_LONG = /.{256}/su
const FITTING = /^.{238}/su
const WEAK_TAG = /^W\/"[\x21\x23-\x7e]{0,200}"$/
const TAG = /^[\x21\x23-\x7e]{1,200}$/

/** What is said about content, and must not stand on an error that takes its place. */
const CONTENT_HEADERS = [
  'accept-ranges',
  'content-disposition',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'last-modified'
]

/** What a backend tells of an object, in a listing or with its bytes. */
export interface ContentFacts {
  readonly etag: string | null
  /** ISO 8601. */
  readonly modifiedAt: string | null
}

/** The validators of an answer. A backend's are opaque: what a header cannot hold is replaced by its hash. */
export function validatorsOf({ etag, modifiedAt }: ContentFacts): Validators {
  const time = modifiedAt === null ? NaN : Date.parse(modifiedAt)
  return {
    etag: etag === null || etag === '' ? null : entityTag(etag),
    modifiedAt: Number.isNaN(time) ? null : Math.floor(time / 1000) * 1000
  }
}

function entityTag(validator: string): string {
  if (WEAK_TAG.test(validator)) return validator
  return `"${TAG.test(validator) ? validator : createHash('sha256').update(validator).digest('base64url')}"`
}

/** What content is saved as, where a browser gets it. */
export interface NamedContent {
  readonly name: string
  readonly mimeType: string | null
}

/**
 * Headers of every answer about content, 304 too, but for who may keep it: that depends on how its route knows users. What users upload is never shown as a page of this origin: it is
 * saved, its type is not guessed, and where a browser shows it all the same it may do nothing and load nothing.
 */
export function describeContent(reply: FastifyReply, { name, mimeType }: NamedContent, validators: Validators): void {
  const { etag, modifiedAt } = validators
  reply
    .header('content-disposition', attachment(fileName(name)))
    .header('content-security-policy', "sandbox; default-src 'none'")
    .header('cross-origin-resource-policy', 'same-origin')
    .header('x-content-type-options', 'nosniff')
    .header('content-type', mediaType(mimeType))
  if (etag !== null) reply.header('etag', etag)
  if (modifiedAt !== null) reply.header('last-modified', new Date(modifiedAt).toUTCString())
}

/** Takes back what was said of content that does not come. */
export function forgetContent(reply: FastifyReply): void {
  for (const name of CONTENT_HEADERS) reply.removeHeader(name)
}

function mediaType(type: string | null): string {
  const usable = type !== null && type.length <= MAX_MEDIA_TYPE_LENGTH && MEDIA_TYPE.test(type)
  return usable ? type : 'application/octet-stream'
}

/** A name without folders, which well-formed text can hold and a header has room for; its ending is kept. */
function fileName(name: string): string {
  const whole = withoutBidiControls(name.toWellFormed()).replace(/[/\\]/g, '_')
  if (!TOO_LONG.test(whole)) return whole === '' ? 'document' : whole
  const ending = /\.[^.\s]{1,16}$/u.exec(whole)?.[0] ?? ''
  return (FITTING.exec(whole)?.[0] ?? '') + ending
}
