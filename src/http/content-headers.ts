import { createHash } from 'node:crypto'
import type { FastifyReply } from 'fastify'
import { attachment, withoutBidiControls } from '../domain/attachment.ts'
import type { Validators } from './preconditions.ts'

const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
/** RFC 9110, 8.3.1. Checked, since the value becomes a header. */
const MEDIA_TYPE = new RegExp(
  `^${TOKEN}/${TOKEN}(?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|"[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]*"))*$`
)
const MAX_MEDIA_TYPE_LENGTH = 255
/** In code points, not UTF-16 units. File systems allow no longer names, clients no headers of many kilobytes. */
const TOO_LONG = /.{256}/su
const FITTING = /^.{238}/su
const WEAK_TAG = /^W\/"[\x21\x23-\x7e]{0,200}"$/
const TAG = /^[\x21\x23-\x7e]{1,200}$/

/** The headers that describe content. An error response must not have them. */
const CONTENT_HEADERS = [
  'accept-ranges',
  'content-disposition',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'last-modified'
]

/** The metadata of an object, from a listing or from a download. */
export interface ContentFacts {
  readonly etag: string | null
  /** ISO 8601. */
  readonly modifiedAt: string | null
}

/** Returns the validators of a response. A backend's are opaque: a value that no header can hold is hashed. */
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

/** The name and type under which browsers save content. */
export interface NamedContent {
  readonly name: string
  readonly mimeType: string | null
}

/**
 * Sets the headers of every response about content, including 304, except those for caches, which depend on how the
 * route authenticates users. Uploaded content is never shown as a page of this origin: browsers save it and do not
 * guess its type. If one displays it anyway, the content may run and load nothing.
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

/** Removes the headers of content that is not sent. */
export function forgetContent(reply: FastifyReply): void {
  for (const name of CONTENT_HEADERS) reply.removeHeader(name)
}

function mediaType(type: string | null): string {
  const usable = type !== null && type.length <= MAX_MEDIA_TYPE_LENGTH && MEDIA_TYPE.test(type)
  return usable ? type : 'application/octet-stream'
}

/** Returns a well-formed name without folders that fits into a header. A shortened name keeps its extension. */
function fileName(name: string): string {
  const whole = withoutBidiControls(name.toWellFormed()).replace(/[/\\]/g, '_')
  if (!TOO_LONG.test(whole)) return whole === '' ? 'document' : whole
  const ending = /\.[^.\s]{1,16}$/u.exec(whole)?.[0] ?? ''
  return (FITTING.exec(whole)?.[0] ?? '') + ending
}
