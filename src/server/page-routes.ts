import type {} from '@fastify/swagger'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { acceptedEncoding } from '../http/accepted-encoding.ts'
import { judge } from '../http/preconditions.ts'
import { StorageError } from '../domain/errors.ts'
import { addVary } from '../http/private-answer.ts'
import type { PageFile } from './page-files.ts'

/**
 * Allows only what this server sends, and no inline scripts or styles. Trusted types: only Lit creates markup, from
 * its own templates. The page and the picker each contain a copy of Lit, hence the duplicates.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types lit-html 'allow-duplicates'"
].join('; ')

/** Features of browsers that the page does not need. */
const UNUSED = ['camera', 'display-capture', 'geolocation', 'microphone', 'midi', 'payment', 'serial', 'usb']

const HEADERS = {
  'content-security-policy': POLICY,
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': UNUSED.map((name) => `${name}=()`).join(', '),
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY'
}

/** Not part of the API description. */
const schema = { hide: true }

const NOT_BUILT = `The page has not been built. Build it with "npm run build" or "npm start".
The routes of this server work without it.
`

/** Registers the page at `/` with the picker: a closed list of files. */
export function pageRoutes(app: FastifyInstance, files: readonly PageFile[] | null): void {
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(HEADERS)
  })
  if (files === null) {
    app.get('/', { schema }, async (request, reply) => {
      request.log.warn('the page has not been built')
      return reply.code(503).header('cache-control', 'no-store').type('text/plain; charset=utf-8').send(NOT_BUILT)
    })
    return
  }
  for (const file of files) app.get(file.path, { schema }, (request, reply) => send(request, reply, file))
}

async function send(request: FastifyRequest, reply: FastifyReply, file: PageFile): Promise<FastifyReply> {
  const encoding = acceptedEncoding(request.headers['accept-encoding'])
  const etag = file.etag(encoding)
  reply
    .header('cache-control', file.isImmutable ? 'public, max-age=31536000, immutable' : 'no-cache')
    .header('etag', etag)
  addVary(reply, 'Accept-Encoding')
  // Not on the landing page: the picker would see the login window as closed too early.
  if (file.path === '/') reply.header('cross-origin-opener-policy', 'same-origin-allow-popups')
  const verdict = judge(request.headers, { etag, modifiedAt: null })
  if (verdict === 'precondition-failed') {
    throw new StorageError('PRECONDITION_FAILED', 'The file does not match the precondition of the request.')
  }
  if (verdict === 'not-modified') return reply.code(304).send()
  if (encoding !== null) reply.header('content-encoding', encoding)
  return reply.type(file.type).send(await file.coded(encoding))
}
