import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { errorCodeOf, StorageError } from '../src/errors.ts'
import { evaluatePreconditions } from '../src/http/conditional.ts'
import { negotiateEncoding, addVary } from '../src/http/headers.ts'
import type { Encoding } from '../src/listing/rendered-listing.ts'

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
const DISABLED_FEATURES = ['camera', 'display-capture', 'geolocation', 'microphone', 'midi', 'payment', 'serial', 'usb']

const HEADERS = {
  'content-security-policy': POLICY,
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': DISABLED_FEATURES.map((name) => `${name}=()`).join(', '),
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
  const encoding = negotiateEncoding(request.headers['accept-encoding'])
  const etag = file.etag(encoding)
  reply
    .header('cache-control', file.isImmutable ? 'public, max-age=31536000, immutable' : 'no-cache')
    .header('etag', etag)
  addVary(reply, 'Accept-Encoding')
  // Not on the landing page: the picker would see the login window as closed too early.
  if (file.path === '/') reply.header('cross-origin-opener-policy', 'same-origin-allow-popups')
  const verdict = evaluatePreconditions(request.headers, { etag, modifiedAt: null })
  if (verdict === 'precondition-failed') {
    throw new StorageError('PRECONDITION_FAILED', 'The file does not match the precondition of the request.')
  }
  if (verdict === 'not-modified') return reply.code(304).send()
  if (encoding !== null) reply.header('content-encoding', encoding)
  return reply.type(file.type).send(await file.compressed(encoding))
}

/** The output of `npm run build`. The path is the same from the sources and from the compiled files. */
export const WEB_ROOT = new URL(import.meta.url.endsWith('.ts') ? '../build/web/' : '../web/', import.meta.url)

const CONTENT_TYPES = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8'
}
/** The files of `page/` that are served. Those of `picker/` follow. */
const PAGE_FILES = /^(?:index\.html|icon\.svg|(?:main|page)-[A-Z0-9]{8}\.(?:js|css|js\.LEGAL\.txt))$/
const PICKER_FILES = ['cloud-folder-picker.js', 'cloud-folder-picker.js.LEGAL.txt', 'landing.html', 'landing.js']
const INDEX = 'page/index.html'
const HASHED_NAME = /-[A-Z0-9]{8}\./
/** Higher levels save about a tenth and take ten times as long. */
const BROTLI_QUALITY = 9

const compress = {
  br: (bytes: Buffer) =>
    promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } }),
  gzip: (bytes: Buffer) => promisify(gzip)(bytes)
} as const satisfies Record<Encoding, (bytes: Buffer) => Promise<Buffer>>

/** A file of the page in memory. It is compressed when it is first requested. */
export class PageFile {
  /** The path of its URL: `/page/main-ABCDEFGH.js`. */
  readonly path: string
  readonly type: string
  /** True if the name changes with the content. */
  readonly isImmutable: boolean
  readonly bytes: Buffer
  readonly #hash: string
  readonly #compressed = new Map<Encoding, Promise<Buffer>>()

  constructor(path: string, bytes: Buffer) {
    const extension = path.slice(path.lastIndexOf('.') + 1) as keyof typeof CONTENT_TYPES
    this.path = path.endsWith('/index.html') ? '/' : path
    this.type = CONTENT_TYPES[extension]
    this.isImmutable = HASHED_NAME.test(path)
    this.bytes = bytes
    this.#hash = createHash('sha256').update(bytes).digest('base64url')
  }

  /** @param encoding `null`: not compressed */
  etag(encoding: Encoding | null): string {
    return encoding === null ? `"${this.#hash}"` : `"${this.#hash}-${encoding}"`
  }

  async compressed(encoding: Encoding | null): Promise<Buffer> {
    if (encoding === null) return this.bytes
    const cached = this.#compressed.get(encoding)
    if (cached !== undefined) return await cached
    const pending = compress[encoding](this.bytes)
    this.#compressed.set(encoding, pending)
    return await pending
  }
}

/** The attribute that tells the page whether the server is a demo. */
const SERVICE_MODE = 'data-mode="service"'
const DEMO_MODE = 'data-mode="demo"'

/**
 * Reads the page and the picker once. They are a dozen small files: no request names a file on the disk.
 *
 * @param isDemo whether links with a token in their fragment sign in
 * @returns `null` if nothing has been built, or only by a version without modes
 */
export async function readPageFiles(webRoot: URL, isDemo = false): Promise<PageFile[] | null> {
  try {
    const pageNames = (await readdir(new URL('page/', webRoot))).filter((name) => PAGE_FILES.test(name))
    if (!pageNames.includes('index.html')) return null
    const index = await readFile(new URL(INDEX, webRoot), 'utf8')
    // A build of another version of these sources would ignore the mode.
    if (!index.includes(SERVICE_MODE)) return null
    const html = Buffer.from(isDemo ? index.replace(SERVICE_MODE, DEMO_MODE) : index)
    const paths = [...pageNames.map((name) => `page/${name}`), ...PICKER_FILES.map((name) => `picker/${name}`)]
    const read = async (path: string): Promise<PageFile> =>
      new PageFile(`/${path}`, path === INDEX ? html : await readFile(new URL(path, webRoot)))
    return await Promise.all(paths.map(read))
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return null
    throw error
  }
}
