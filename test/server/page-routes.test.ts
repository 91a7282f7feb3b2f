import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import packageJson from '../../package.json' with { type: 'json' }
import { buildPage } from '../../scripts/build-page.mjs'
import { buildPicker } from '../../scripts/build-picker.mjs'
import { sendProblem } from '../../src/http/problem.ts'
import { pageRoutes, readPageFiles, WEB_ROOT } from '../../server/page-routes.ts'
import { startRawClient } from '../support/app/raw-client.ts'
import { checkResponses, serverDescription } from '../support/openapi/response-checks.ts'
import { proxyThroughPrism } from '../support/openapi/prism-proxy.ts'

const folder = await mkdtemp(join(tmpdir(), 'built-'))
await buildPage(join(folder, 'page'))
await buildPicker(join(folder, 'picker'))
// Like the output of a build, with declaration files, and with an unrelated file.
await writeFile(join(folder, 'page/notes.js'), 'private')
await writeFile(join(folder, 'picker/cloud-folder-picker.d.ts'), 'export {}')
t.teardown(() => rm(folder, { recursive: true }))

async function serve(t: Test, built = folder, isDemo = false): Promise<FastifyInstance> {
  const description = await serverDescription()
  const app = Fastify({ pluginTimeout: 0 })
  t.teardown(() => app.close())
  app.setErrorHandler(sendProblem)
  checkResponses(t, app, description)
  proxyThroughPrism(t, app, false)
  app.register(async (child) => {
    pageRoutes(child, await readPageFiles(pathToFileURL(`${built}/`), isDemo))
  })
  await app.ready()
  return app
}

async function paths(): Promise<string[]> {
  const page = (await readdir(join(folder, 'page'))).filter((name) => !['index.html', 'notes.js'].includes(name))
  const picker = (await readdir(join(folder, 'picker'))).filter((name) => !name.endsWith('.d.ts'))
  return ['/', ...page.map((name) => `/page/${name}`), ...picker.map((name) => `/picker/${name}`)]
}

t.test('the page reports whether the server is a demo, whatever its URL is', async (t) => {
  const modes = new Map([
    [false, 'service'],
    [true, 'demo']
  ])
  const etags = new Set<unknown>()
  for (const [isDemo, mode] of modes) {
    const ask = await startRawClient(t, await serve(t, folder, isDemo))
    for (const path of ['/', '/?mode=demo', '/?data-mode=demo']) {
      const { status, body, headers } = await ask(path)
      t.equal(status, 200)
      t.match(String(body), `<html lang="en" data-mode="${mode}">`)
      etags.add(headers['etag'])
    }
  }
  t.equal(etags.size, 2, 'the ETags differ')
})

t.test('every file has the content security policy and the other security headers', async (t) => {
  const ask = await startRawClient(t, await serve(t))
  t.equal((await paths()).length, 9)
  for (const path of await paths()) {
    const { status, headers } = await ask(path)
    t.equal(status, 200, path)
    t.match(headers, {
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'permissions-policy': /camera=\(\).*usb=\(\)/,
      'x-frame-options': 'DENY',
      vary: 'Accept-Encoding',
      etag: /^"[\w-]{43}"$/
    })
    t.equal(
      headers['content-security-policy'],
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; " +
        "trusted-types lit-html 'allow-duplicates'"
    )
    const isNamedByContent = /-[A-Z0-9]{8}\./.test(path)
    t.equal(headers['cache-control'], isNamedByContent ? 'public, max-age=31536000, immutable' : 'no-cache', path)
    t.equal(headers['cross-origin-opener-policy'], path === '/' ? 'same-origin-allow-popups' : undefined, path)
    const type = { js: /javascript/, css: /css/, svg: /svg/, txt: /plain/, html: /html/ }[path.split('.').at(-1) ?? '']
    t.match(headers['content-type'], type ?? /^text\/html; charset=utf-8$/, path)
  }
})

t.test('the page refers to existing files and has no inline code', async (t) => {
  const ask = await startRawClient(t, await serve(t))
  for (const page of ['/', '/picker/landing.html']) {
    const html = (await ask(page)).body.toString()
    t.notMatch(html, /<style|\son\w+=|\sstyle=|javascript:/i)
    t.notMatch(html, /<script(?![^>]*\ssrc=")/)
    const named = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = '']) => path)
    t.ok(named.length > 0)
    for (const path of named) {
      t.equal((await ask(new URL(path, `http://x${page}`).pathname)).status, 200, path)
    }
  }
})

t.test('no file refers to another host', async (t) => {
  const ask = await startRawClient(t, await serve(t))
  // XML namespaces, and the addresses of licences and of Lit's documentation, which are never requested.
  const harmless = /^https?:\/\/(?:www\.w3\.org|lit\.dev|opensource\.org)\b/
  for (const path of (await paths()).filter((each) => !each.endsWith('.txt'))) {
    const found = (await ask(path)).body.toString().match(/(?:https?:)?\/\/[a-z0-9-]+\.[a-z][\w.-]*/gi) ?? []
    t.same(
      found.filter((url) => !harmless.test(url)),
      [],
      path
    )
  }
})

t.test('a cached file answers 304', async (t) => {
  const ask = await startRawClient(t, await serve(t))
  for (const path of await paths()) {
    for (const [coding, decode] of [
      ['identity', (body: Buffer) => body],
      ['br', brotliDecompressSync],
      ['gzip', gunzipSync]
    ] as const) {
      const whole = await ask(path, { 'accept-encoding': coding })
      const name = path === '/' ? '/page/index.html' : path
      t.ok(decode(whole.body).equals(await readFile(join(folder, name))), `${path} as ${coding}`)
      t.equal(whole.headers['content-encoding'], coding === 'identity' ? undefined : coding)
      const again = await ask(path, { 'accept-encoding': coding, 'if-none-match': whole.headers.etag ?? '' })
      t.same([again.status, again.body.length, again.headers.etag], [304, 0, whole.headers.etag])
      const other = await ask(path, { 'accept-encoding': coding, 'if-none-match': '"other"' })
      t.equal(other.status, 200)
      const head = await ask(path, { 'accept-encoding': coding }, 'HEAD')
      t.same([head.status, head.body.length, head.headers.etag], [200, 0, whole.headers.etag])
    }
  }
  t.equal((await ask('/', { 'if-match': '"other"' })).status, 412)
})

t.test('only the listed files are served', async (t) => {
  const ask = await startRawClient(t, await serve(t))
  for (const path of [
    '/index.html',
    '/page',
    '/page/',
    '/page/index.html',
    '/page/notes.js',
    '/page/../picker/landing.html',
    '/page/%2e%2e/%2e%2e/package.json',
    '/page/..%2f..%2fpackage.json',
    '/picker/cloud-folder-picker.d.ts',
    '/picker/'
  ]) {
    t.equal((await ask(path)).status, 404, path)
  }
})

t.test('without a build the page explains how to build it', async (t) => {
  const empty = await mkdtemp(join(tmpdir(), 'built-'))
  t.teardown(() => rm(empty, { recursive: true }))
  const app = await serve(t, empty)
  const answer = await app.inject('/')
  t.equal(answer.statusCode, 503)
  t.match(answer.body, /has not been built\. Build it with "npm run build" or "npm start"/)
  t.match(answer.headers, { 'cache-control': 'no-store', 'content-type': /^text\/plain/ })
  t.equal((await app.inject('/picker/cloud-folder-picker.js')).statusCode, 404)
  // An incomplete build counts as missing.
  await buildPage(join(empty, 'page'))
  t.equal((await (await serve(t, empty)).inject('/')).statusCode, 503)

  await buildPicker(join(empty, 'picker'))
  t.equal((await (await serve(t, empty)).inject('/')).statusCode, 200)
  const index = join(empty, 'page/index.html')
  const current = await readFile(index, 'utf8')
  for (const older of [current.replace(' data-mode="service"', ''), '']) {
    await writeFile(index, older)
    for (const isDemo of [false, true]) {
      t.equal((await (await serve(t, empty, isDemo)).inject('/')).statusCode, 503, 'an outdated build is not served')
    }
  }
})

t.test('concurrent builds leave complete files and none of an earlier build', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'built-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const index = join(folder, 'page/index.html')
  await buildPage(join(folder, 'page'))
  const first = await stat(index)
  await writeFile(join(folder, 'page/main-OLDOLDOL.js'), 'old')
  await Promise.all([buildPage(join(folder, 'page')), buildPage(join(folder, 'page'))])
  t.notOk((await readdir(join(folder, 'page'))).includes('main-OLDOLDOL.js'))
  const { ino, mtimeMs } = await stat(index)
  t.same([ino, mtimeMs], [first.ino, first.mtimeMs], 'an unchanged file is not written again')
  await writeFile(index, 'older')
  const descriptor = await open(index)
  t.teardown(() => descriptor.close())
  await buildPage(join(folder, 'page'))
  t.equal(await descriptor.readFile('utf8'), 'older', 'an open file keeps its content')
  t.match(await readFile(index, 'utf8'), '</html>')
})

t.test('npm run build:page creates what the server serves, and npm does not publish it', async (t) => {
  t.equal(WEB_ROOT.href, new URL('../../build/web/', import.meta.url).href)
  t.equal(
    packageJson.scripts['build:page'],
    'node scripts/build-picker.mjs build/web/picker && node scripts/build-page.mjs'
  )
  t.notOk(packageJson.files.includes('build'))
})
