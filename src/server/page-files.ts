import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Encoding } from '../listing/rendered-listing.ts'

/** The output of `npm run build`. The path is the same from the sources and from the compiled files. */
export const BUILT = new URL('../../dist/', import.meta.url)

const TYPES = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8'
}
/** The files of `dist/page` that are served. Those of `dist/picker`, which also contains declarations, follow. */
const PAGE_FILES = /^(?:index\.html|icon\.svg|(?:main|page)-[A-Z0-9]{8}\.(?:js|css|js\.LEGAL\.txt))$/
const PICKER_FILES = ['cloud-folder-picker.js', 'cloud-folder-picker.js.LEGAL.txt', 'landing.html', 'landing.js']
const INDEX = 'page/index.html'
const NAMED_BY_CONTENT = /-[A-Z0-9]{8}\./
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
  readonly #coded = new Map<Encoding, Promise<Buffer>>()

  constructor(path: string, bytes: Buffer) {
    const ending = path.slice(path.lastIndexOf('.') + 1) as keyof typeof TYPES
    this.path = path.endsWith('/index.html') ? '/' : path
    this.type = TYPES[ending]
    this.isImmutable = NAMED_BY_CONTENT.test(path)
    this.bytes = bytes
    this.#hash = createHash('sha256').update(bytes).digest('base64url')
  }

  /** @param encoding `null`: not compressed */
  etag(encoding: Encoding | null): string {
    return encoding === null ? `"${this.#hash}"` : `"${this.#hash}-${encoding}"`
  }

  async coded(encoding: Encoding | null): Promise<Buffer> {
    if (encoding === null) return this.bytes
    const known = this.#coded.get(encoding)
    if (known !== undefined) return await known
    const coding = compress[encoding](this.bytes)
    this.#coded.set(encoding, coding)
    return await coding
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
export async function readPageFiles(built: URL, isDemo = false): Promise<PageFile[] | null> {
  try {
    const pageNames = (await readdir(new URL('page/', built))).filter((name) => PAGE_FILES.test(name))
    if (!pageNames.includes('index.html')) return null
    const index = await readFile(new URL(INDEX, built), 'utf8')
    // A build of another version of these sources would ignore the mode.
    if (!index.includes(SERVICE_MODE)) return null
    const html = Buffer.from(isDemo ? index.replace(SERVICE_MODE, DEMO_MODE) : index)
    const paths = [...pageNames.map((name) => `page/${name}`), ...PICKER_FILES.map((name) => `picker/${name}`)]
    const read = async (path: string): Promise<PageFile> =>
      new PageFile(`/${path}`, path === INDEX ? html : await readFile(new URL(path, built)))
    return await Promise.all(paths.map(read))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
