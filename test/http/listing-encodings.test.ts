import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import type { CloudStorageOptions } from '../../src/index.ts'
import { testApp } from '../support/app/app.ts'
import { type SendRaw, startRawClient, type RawResponse } from '../support/app/raw-client.ts'
import { entry, page } from '../support/backend/scripted-backend.ts'

const LISTING = '/cloud/scripted/listing'
const ANN = { 'x-user': 'ann' }
const folder = (name: string) => page(Array.from({ length: 100 }, (_, i) => entry(`${name} ${i}`)))

/** A folder of a hundred files, served over sockets. */
async function make(t: Test, options: Partial<CloudStorageOptions> = {}, vary?: string) {
  const world = await testApp(t, options, {}, (host) => {
    if (vary === undefined) return
    host.addHook('onRequest', async (_request, reply) => {
      reply.header('vary', vary)
    })
  })
  await world.connect('ann')
  world.scripted.backend.list = async () => folder('file')
  const raw = await startRawClient(t, world.app)
  const ask: SendRaw = (path, headers, method) => raw(path, { ...ANN, ...headers }, method)
  /** Requests the page until it is compressed: compression happens in the background. */
  const askFor = async (encoding: string, path = LISTING): Promise<RawResponse> => {
    for (;;) {
      const answer = await ask(path, { 'accept-encoding': encoding })
      if (answer.status !== 200 || answer.headers['content-encoding'] === encoding) return answer
    }
  }
  return { ...world, ask, askFor }
}

function decoded({ headers, body }: RawResponse): string {
  const encoding = headers['content-encoding']
  if (encoding === 'br') return brotliDecompressSync(body).toString()
  return (encoding === 'gzip' ? gunzipSync(body) : body).toString()
}

/** Returns whether a response is complete: in a known encoding, and with a matching length. */
function isWhole(answer: RawResponse, text: string): boolean {
  const isKnown = [undefined, 'br', 'gzip'].includes(answer.headers['content-encoding'])
  const isAsLong = Number(answer.headers['content-length']) === answer.body.byteLength
  return answer.status === 200 && isKnown && isAsLong && decoded(answer) === text
}

t.test('the first response is uncompressed, and later responses are compressed', async (t) => {
  // With a lease the route responds synchronously, and without one it does not.
  for (const leaseMs of [0, 60_000]) {
    const { app, ask, askFor } = await make(t, { leaseMs })
    const first = await ask(LISTING, { 'accept-encoding': 'br, gzip' })
    t.equal(first.headers['content-encoding'], undefined)
    t.equal(first.headers.vary, 'Authorization, Cookie, Accept-Encoding')
    const text = first.body.toString()
    t.equal((JSON.parse(text) as { entries: unknown[] }).entries.length, 100)
    t.ok(isWhole(first, text))
    t.equal(app.folderCache.stats().bytes, first.body.byteLength)

    let later = await ask(LISTING, { 'accept-encoding': 'br, gzip' })
    while (later.headers['content-encoding'] === undefined) {
      t.equal(later.headers.etag, first.headers.etag)
      later = await ask(LISTING, { 'accept-encoding': 'br, gzip' })
    }
    t.equal(later.headers['content-encoding'], 'br')
    t.ok(isWhole(later, text))
    t.ok(later.body.byteLength < first.body.byteLength / 5)
    t.equal(later.headers['content-type'], first.headers['content-type'])
    t.equal(later.headers.vary, first.headers.vary)
    t.not(later.headers.etag, first.headers.etag, 'a compressed body has its own strong validator')

    const gzip = await askFor('gzip')
    t.equal(gzip.headers['content-encoding'], 'gzip')
    t.ok(isWhole(gzip, text))
    t.equal(new Set([first, later, gzip].map(({ headers }) => headers.etag)).size, 3)
    const bytes = first.body.byteLength + later.body.byteLength + gzip.body.byteLength
    t.match(app.folderCache.stats(), { entries: 1, bytes, loads: 1 }, 'each encoding counts towards the size')
  }
})

t.test('each client receives the available encoding that it prefers', async (t) => {
  const { ask, askFor } = await make(t)
  await askFor('br')
  await askFor('gzip')
  const text = (await ask(LISTING)).body.toString()
  const chosen: [string, string | undefined][] = [
    ['br', 'br'],
    ['gzip', 'gzip'],
    ['br, gzip', 'br'],
    ['gzip, br', 'br'],
    ['gzip, deflate, br, zstd', 'br'],
    ['gzip, deflate', 'gzip'],
    ['gzip;q=1, br;q=0.5', 'gzip'],
    ['br;q=0.5, gzip;q=0.8', 'gzip'],
    ['*', 'br'],
    ['br;q=0, *', 'gzip'],
    ['br;q=0, gzip;q=0', undefined],
    ['br;q=0, gzip;q=0, *', undefined],
    ['identity', undefined],
    ['identity;q=1, br;q=0.5', undefined],
    ['identity;q=0, br;q=0.5', 'br'],
    ['deflate', undefined],
    ['*;q=0', undefined],
    ['', undefined]
  ]
  // Twice, because parsed headers are cached.
  for (const [accepted, encoding] of [...chosen, ...chosen]) {
    const answer = await ask(LISTING, { 'accept-encoding': accepted })
    t.equal(answer.headers['content-encoding'], encoding, accepted)
    t.ok(isWhole(answer, text), accepted)
    t.equal(answer.headers.vary, 'Authorization, Cookie, Accept-Encoding')
  }
  const without = await ask(LISTING)
  t.equal(without.headers['content-encoding'], undefined, 'no Accept-Encoding header')
  t.equal(without.headers.vary, 'Authorization, Cookie, Accept-Encoding')
})

t.test('a hostile Accept-Encoding header gets a valid response and does not affect other requests', async (t) => {
  const { ask, askFor } = await make(t)
  await askFor('br')
  await askFor('gzip')
  const text = (await ask(LISTING)).body.toString()
  const hostile: (string | string[])[] = [
    'br;q=nonsense',
    'br;q=1e999, gzip;q=-1',
    'br;q=NaN',
    ';;;,,,===',
    ',br',
    'br;br;br',
    '"br"',
    'BR',
    'b\u00ffr, \u00e9',
    '__proto__',
    'constructor, toString, br',
    '* * *',
    ['br;q=0', 'gzip'],
    `${'gzip;q=0.1,'.repeat(1_000)}br`,
    'x'.repeat(12_000),
    `${'*,'.repeat(6_000)}*`
  ]
  for (const accepted of hostile) {
    const answer = await ask(LISTING, { 'accept-encoding': accepted })
    t.ok(isWhole(answer, text), String(accepted).slice(0, 40))
  }
  for (let i = 0; i < 200; i += 1) {
    const answer = await ask(LISTING, { 'accept-encoding': `gzip, x-${i}` })
    if (answer.headers['content-encoding'] !== 'gzip') t.fail(`the header of round ${i} was ignored`)
  }
  const last = await ask(LISTING, { 'accept-encoding': 'never seen, br' })
  t.equal(last.headers['content-encoding'], 'br', 'headers are still parsed after many different ones')
})

t.test('a validator of any encoding answers 304', async (t) => {
  for (const leaseMs of [0, 60_000]) {
    const { ask, askFor } = await make(t, { leaseMs })
    const plain = String((await ask(LISTING)).headers.etag)
    const br = String((await askFor('br')).headers.etag)
    const gzip = String((await askFor('gzip')).headers.etag)
    const known: [string | undefined, string, string | null][] = [
      [undefined, plain, plain],
      [undefined, `W/${plain}`, plain],
      [undefined, '*', plain],
      [undefined, br, null],
      ['br', plain, plain],
      ['br', br, br],
      ['br', `W/${br}`, br],
      ['br', `${plain}, ${br}`, br],
      ['br', `"other",W/${plain}`, plain],
      ['br', ' * ', br],
      ['br', gzip, null],
      ['br', '"other"', null],
      ['br', plain.slice(0, -1), null],
      ['br', 'nonsense', null],
      ['gzip', gzip, gzip],
      ['gzip', plain, plain],
      ['gzip', br, null]
    ]
    for (const [accepted, ifNoneMatch, etag] of known) {
      const headers = { 'if-none-match': ifNoneMatch, ...(accepted !== undefined && { 'accept-encoding': accepted }) }
      const what = `${accepted ?? 'no header'}: ${ifNoneMatch}`
      const answer = await ask(LISTING, headers)
      t.equal(answer.status, etag === null ? 200 : 304, what)
      t.equal(answer.headers.vary, 'Authorization, Cookie, Accept-Encoding', what)
      if (etag === null) {
        t.equal(answer.headers['content-encoding'], accepted, what)
      } else {
        t.equal(answer.headers.etag, etag, what)
        t.equal(answer.headers['content-encoding'], undefined, what)
        t.equal(answer.body.byteLength, 0, what)
      }
    }
  }
})

t.test('a 304 for an uncompressed page still starts the compression that the client accepts', async (t) => {
  const { ask, askFor } = await make(t)
  const plain = String((await ask(LISTING)).headers.etag)
  const conditional = { 'accept-encoding': 'br', 'if-none-match': plain }
  t.equal((await ask(LISTING, conditional)).status, 304, 'before the compression')
  const br = await askFor('br')
  const after = await ask(LISTING, conditional)
  t.equal(after.status, 304, 'after the compression')
  t.equal(after.headers.etag, plain)
  t.not(br.headers.etag, plain)
})

t.test('HEAD has the headers of GET and no body', async (t) => {
  const { ask, askFor } = await make(t)
  await askFor('br')
  for (const accepted of ['identity', 'br']) {
    const get = await ask(LISTING, { 'accept-encoding': accepted })
    const head = await ask(LISTING, { 'accept-encoding': accepted }, 'HEAD')
    t.equal(head.status, 200)
    t.equal(head.body.byteLength, 0)
    for (const name of ['etag', 'content-length', 'content-encoding', 'content-type', 'vary', 'cache-control']) {
      t.equal(head.headers[name], get.headers[name], `${accepted}: ${name}`)
    }
    const conditional = { 'accept-encoding': accepted, 'if-none-match': String(get.headers.etag) }
    t.equal((await ask(LISTING, conditional, 'HEAD')).status, 304)
  }
})

t.test('a changed folder has new validators in every encoding', async (t) => {
  const { ask, askFor, scripted } = await make(t)
  const before = [(await ask(LISTING)).headers.etag, (await askFor('br')).headers.etag].map(String)
  scripted.backend.list = async () => folder('new')
  const refreshed = await ask(`${LISTING}?refresh=true`, { 'accept-encoding': 'br' })
  t.equal(refreshed.headers['content-encoding'], undefined, 'the new page is not compressed yet')
  const text = refreshed.body.toString()
  t.match(text, '"new 7"')
  const br = await askFor('br')
  t.ok(isWhole(br, text), 'the new page is compressed, not the old one')
  t.equal(new Set([...before, refreshed.headers.etag, br.headers.etag]).size, 4)
  for (const etag of before) {
    const answer = await ask(LISTING, { 'accept-encoding': 'br', 'if-none-match': etag })
    t.equal(answer.status, 200)
  }
  scripted.backend.list = async () => folder('file')
  await ask(`${LISTING}?refresh=true`)
  t.strictSame([(await ask(LISTING)).headers.etag, (await askFor('br')).headers.etag], before, 'equal validators')
})

t.test('a page of up to a kilobyte is never compressed', async (t) => {
  const { ask, askFor, app, scripted } = await make(t)
  scripted.backend.list = async (id) => (id === 'small' ? page([entry('a')]) : folder('file'))
  const small = `${LISTING}?folder=small`
  const first = await ask(small, { 'accept-encoding': 'br' })
  t.ok(first.body.byteLength <= 1024)
  // Requested after the page has been compressed.
  await askFor('br', `${LISTING}?folder=large`)
  const { bytes } = app.folderCache.stats()
  for (const encoding of ['br', 'gzip', 'br']) {
    const answer = await ask(small, { 'accept-encoding': encoding })
    t.equal(answer.headers['content-encoding'], undefined)
    t.equal(answer.headers.vary, 'Authorization, Cookie, Accept-Encoding')
    t.ok(answer.body.equals(first.body))
  }
  t.equal(app.folderCache.stats().bytes, bytes)
})

t.test('the host’s own Vary header is kept', async (t) => {
  for (const [own, all] of [
    ['Origin', 'Origin, Authorization, Cookie, Accept-Encoding'],
    ['Accept-Encoding, Origin', 'Accept-Encoding, Origin, Authorization, Cookie'],
    ['*', '*']
  ] as const) {
    const { ask, askFor } = await make(t, {}, own)
    t.equal((await ask(LISTING)).headers.vary, all)
    const br = await askFor('br')
    t.equal(br.headers.vary, all)
    const known = await ask(LISTING, { 'accept-encoding': 'br', 'if-none-match': String(br.headers.etag) })
    t.strictSame([known.status, known.headers.vary], [304, all])
  }
})

t.test('a page that is too large for the cache is never compressed', async (t) => {
  const { ask, app } = await make(t, { cache: { maxBytes: 20_000 } })
  for (let i = 0; i < 3; i += 1) {
    const answer = await ask(LISTING, { 'accept-encoding': 'br' })
    t.equal(answer.status, 200)
    t.equal(answer.headers['content-encoding'], undefined)
  }
  t.match(app.folderCache.stats(), { entries: 0, bytes: 0, loads: 3 })
})
