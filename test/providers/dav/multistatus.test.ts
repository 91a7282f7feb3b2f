import t from 'tap'
import { Readable } from 'node:stream'
import { type DavResource, readMultistatus } from '../../../src/providers/dav/multistatus.ts'
import { ManualClock } from '../../support/time/clock.ts'
import { rejectsWith } from '../../contract/suite/arrange.ts'
import { minCpuTime, splitIntoChunks, repeatTo } from '../../support/time/cpu-time.ts'

const clock = { now: () => performance.now() }
const XML = '<?xml version="1.0" encoding="utf-8"?>'

const read = (...chunks: (string | Buffer)[]): Promise<DavResource[]> => readAll(chunks)

async function readAll(chunks: readonly (string | Buffer)[]): Promise<DavResource[]> {
  const resources: DavResource[] = []
  const bytes = chunks.map((chunk) => Buffer.from(chunk))
  for await (const resource of readMultistatus(Readable.from(bytes), clock)) resources.push(resource)
  return resources
}

function response(href: string, inner = '', status = '200 OK'): string {
  return (
    `<D:response><D:href>${href}</D:href><D:propstat><D:prop>${inner}</D:prop>` +
    `<D:status>HTTP/1.1 ${status}</D:status></D:propstat></D:response>`
  )
}

function multistatus(content: string): string {
  return `${XML}<D:multistatus xmlns:D="DAV:">${content}</D:multistatus>`
}

t.test('chunk boundaries do not matter, even in tags and characters', async (t) => {
  const text =
    `${XML}\n<!-- a <D:multistatus> that is none -->\n<?pi <x?>\n<D:multistatus xmlns:D="DAV:" x='1'>\n` +
    response('/d/%C3%A9&amp;\u{1f4be}\u00e9', '<D:getetag>"a"</D:getetag>') +
    '</D:multistatus>\n<!-- behind --> '
  const bytes = Buffer.from(text)
  const whole = await read(text)
  t.match(whole, [{ href: '/d/%C3%A9&\u{1f4be}\u00e9', status: 200, properties: { getetag: '"a"' } }])
  const broken: number[] = []
  for (let at = 0; at <= bytes.length; at++) {
    const parts = await read(bytes.subarray(0, at), bytes.subarray(at)).catch(() => null)
    if (JSON.stringify(parts) !== JSON.stringify(whole)) broken.push(at)
  }
  t.same(broken, [])
  t.same(await read(...[...bytes].map((byte) => Buffer.from([byte]))), whole, 'byte by byte')
})

/** Bytes parsed in one turn of the event loop. A block may end at any byte. */
const BLOCK_BYTES = 16 * 1024

t.test('block boundaries do not matter, in tags, comments, references and characters', async (t) => {
  const inner = '<D:getetag>a<!-- - >- -->b<![CDATA[]]&amp;]] >]]]>&#x1F4BE;&amp;\u00e9</D:getetag><?pi ?>?>?'
  const tail = `${response('/d/a', `${inner} <x y="'>" z='">'/>`)}</D:multistatus>`
  const start = `${XML}<D:multistatus xmlns:D="DAV:">`
  const whole = await read(start + tail)
  t.match(whole, [{ properties: { getetag: 'ab]]&amp;]] >]\u{1f4be}&\u00e9', x: '' } }])
  const broken: number[] = []
  for (let at = 0; at <= Buffer.byteLength(tail); at++) {
    const padded = `${start}<!--${' '.repeat(BLOCK_BYTES - Buffer.byteLength(start) - 7 - at)}-->${tail}`
    const parts = await read(padded).catch(() => null)
    if (JSON.stringify(parts) !== JSON.stringify(whole)) broken.push(at)
  }
  t.same(broken, [])
})

t.test('prefixes are ignored, and all properties with status 200 are returned', async (t) => {
  const [resource] = await read(
    `${XML}<multistatus xmlns="DAV:"><response xmlns:lp1="DAV:"><href>/a</href>` +
      '<propstat><prop><getcontentlength>9</getcontentlength><x/></prop><status>HTTP/1.1 404 Not Found</status></propstat>' +
      '<propstat><prop><lp1:getetag>"a"</lp1:getetag></prop><status>HTTP/1.1 200 OK</status></propstat>' +
      '<propstat><prop><lp1:resourcetype><collection/></lp1:resourcetype></prop><status>HTTP/2 200</status></propstat>' +
      '</response></multistatus>'
  )
  t.same(resource?.properties, { getetag: '"a"', resourcetype: { collection: '' } })
  const [gone] = await read(
    multistatus('<D:response><D:href>/a</D:href><D:status>HTTP/1.1 404 X</D:status></D:response>')
  )
  t.match(gone, { href: '/a', status: 404, properties: {} })
})

t.test('references are resolved once, and CDATA is text', async (t) => {
  for (const [written, meant] of [
    ['&amp;lt;', '&lt;'],
    ['&#38;&#x26;', '&&'],
    ['&#x1F4BE;', '\u{1f4be}'],
    ['&quot;x&apos;', `"x'`],
    ['<![CDATA[&amp;<x>]]>', '&amp;<x>'],
    ['a<!-- no -->b', 'ab']
  ] as const) {
    const [resource] = await read(multistatus(response('/a', `<D:getetag>${written}</D:getetag>`)))
    t.equal(resource?.properties['getetag'], meant, written)
  }
  const many = Array.from({ length: 700 }, (_, index) => response(`/${'&amp;'.repeat(20)}${index}`))
  t.equal((await read(multistatus(many.join('')))).length, 700, 'any number of references')
})

t.test('a name in another encoding does not affect other resources', async (t) => {
  const bytes = Buffer.from(multistatus(response('/caf\u00e9') + response('/b')), 'latin1')
  t.same(
    (await read(bytes)).map(({ href }) => href),
    ['/caf\ufffd', '/b']
  )
})

t.test('a multistatus may be empty', async (t) => {
  t.same(await read(`${XML}<D:multistatus xmlns:D="DAV:"/>\n<!-- x -->`), [])
  t.same(await read(multistatus('')), [])
})

t.test('a response that is not a complete multistatus is an error', async (t) => {
  const good = multistatus(response('/a'))
  const cases: Record<string, string> = {
    empty: '',
    spaces: '  \n',
    text: 'no XML at all',
    html: '<!DOCTYPE html><html><body>Sign in<br></body></html>',
    'html without a type': '<html><multistatus/></html>',
    'another root': '<D:prop xmlns:D="DAV:"/>',
    'a document type': good.replace(XML, `${XML}<!DOCTYPE x [<!ENTITY a "b">]>`),
    'an entity inside': good.replace('<D:response>', '<!ENTITY a "b"><D:response>'),
    'crossed tags': multistatus('<D:response><D:href></D:response></D:href>'),
    'too deep': multistatus(`<D:response>${'<a>'.repeat(500)}${'</a>'.repeat(500)}</D:response>`),
    'content after the root': `${good}<html>`,
    'content after an empty root': `${XML}<D:multistatus xmlns:D="DAV:"/>x`,
    'two documents': good + good.replace(XML, '')
  }
  for (const [name, text] of Object.entries(cases)) await rejectsWith(t, read(text), 'PROVIDER_ERROR', name)
  for (let at = 1; at < good.length; at += 7) await rejectsWith(t, read(good.slice(0, at)), 'PROVIDER_ERROR', `${at}`)
})

t.test('an endless response is refused early', async (t) => {
  for (const [start, more] of [
    ['', ' '],
    ['<!--', 'x'],
    [`${XML}<D:multistatus xmlns:D="DAV:">`, ' '],
    [`${XML}<D:multistatus xmlns:D="DAV:"><D:response><D:href>`, 'x'],
    [`${XML}<D:multistatus xmlns:D="DAV:"/>`, ' '],
    [`${XML}<D:multistatus `, 'x']
  ] as const) {
    let sent = 0
    const endless = function* () {
      yield Buffer.from(start)
      for (; sent < 4000; sent++) yield Buffer.from(more.repeat(16 * 1024))
    }
    const body = Readable.from(endless())
    const reading = (async () => {
      for await (const resource of readMultistatus(body, clock)) t.fail(resource.href)
    })()
    await rejectsWith(t, reading, 'PROVIDER_ERROR', start)
    t.ok(sent < 100, `after ${sent} chunks`)
    t.equal(body.destroyed, true)
  }
})

t.test('a million resources can be stopped early and do not block the event loop', async (t) => {
  let sent = 0
  const body = Readable.from(
    (function* () {
      yield Buffer.from(`${XML}<D:multistatus xmlns:D="DAV:">`)
      for (; sent < 1_000_000; sent += 50) {
        yield Buffer.from(Array.from({ length: 50 }, (_, index) => response(`/d/${sent + index}`)).join(''))
      }
    })()
  )
  let turns = 0
  const timer = setInterval(() => turns++, 0)
  let count = 0
  for await (const { href } of readMultistatus(body, clock)) {
    if (href !== `/d/${count}`) t.fail(href)
    if (++count === 20_000) break
  }
  clearInterval(timer)
  t.ok(turns > 10, `${turns} turns`)
  t.ok(sent < 30_000, `${sent} were sent`)
  t.equal(body.destroyed, true)
})

/** A multistatus of many resources of the maximum size, filled with the given content. */
function hostile(inner: string, length: number): string {
  return multistatus(repeatTo(`<D:response><D:href>/a</D:href>${inner}</D:response>`, length))
}

const property = (inner: string): string =>
  `<D:propstat><D:prop><x>${inner}</x></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>`

const attributes = (count: number): string => Array.from({ length: count }, (_, index) => `a${index}=""`).join(' ')

/** Content that is more expensive to parse than usual: each resource has nearly the maximum size. */
const HOSTILE: Readonly<Record<string, string>> = {
  elements: repeatTo('<a/>', 60_000),
  comments: repeatTo('<!---->', 60_000),
  instructions: repeatTo('<?a?>', 60_000),
  CDATA: property(repeatTo('<![CDATA[a]]>', 60_000)),
  references: property(repeatTo('&lt;', 60_000)),
  'one property': property(repeatTo('x ', 60_000)),
  'white space': property(repeatTo(' ', 30_000) + 'x' + repeatTo('\n', 30_000)),
  propstats: repeatTo('<D:propstat><D:status>HTTP/1.1 200 OK</D:status></D:propstat>', 60_000),
  hrefs: repeatTo('<D:href>/a</D:href>', 60_000),
  'brackets in CDATA': property(`<![CDATA[${repeatTo(']', 60_000)}]]>`),
  'dashes in a comment': `<!--${repeatTo('- ', 60_000)}-->`,
  attributes: repeatTo(`<a ${attributes(250)}/>`, 60_000),
  nesting: repeatTo(`${'<a>'.repeat(60)}${'</a>'.repeat(60)}`, 60_000)
}

t.test('the CPU time of any XML is linear in its length, within a factor of that of a plain listing', async (t) => {
  const short = 128 * 1024
  const plain = await minCpuTime(() =>
    readAll(splitIntoChunks(multistatus(repeatTo(response('/a', PLAIN), 4 * short)), 65_536))
  )
  for (const [name, inner] of Object.entries(HOSTILE)) {
    const cost = (length: number) => minCpuTime(() => readAll(splitIntoChunks(hostile(inner, length), 65_536)))
    const [once, fourfold] = [await cost(short), await cost(4 * short)]
    t.ok(fourfold < 12 * Math.max(once, 5_000), `${name}: ${once} and ${fourfold} us`)
    t.ok(fourfold < 40 * plain, `${name}: ${fourfold} us, and ${plain} us of a plain listing`)
  }
})

const PLAIN =
  '<D:resourcetype/><D:getcontentlength>12</D:getcontentlength><D:getetag>"abcdef"</D:getetag>' +
  '<D:getlastmodified>Mon, 30 Nov 2026 11:52:00 GMT</D:getlastmodified>'

t.test('single bytes and one huge chunk cost at most a small multiple of usual chunks', async (t) => {
  const text = multistatus(repeatTo(response('/a', PLAIN), 96 * 1024))
  const usual = await minCpuTime(() => readAll(splitIntoChunks(text, 16_384)))
  // The cost of a stream of single bytes, without parsing.
  const bare = await minCpuTime(async () => {
    for await (const chunk of Readable.from(splitIntoChunks(text, 1)) as AsyncIterable<Buffer>)
      if (chunk.length > 1) t.fail()
  })
  const single = await minCpuTime(() => readAll(splitIntoChunks(text, 1)))
  t.ok(single < 4 * bare + 4 * usual, `${single} us, ${bare} us of the stream alone, ${usual} us with usual chunks`)
  const whole = await minCpuTime(() => read(text))
  t.ok(whole < 4 * usual, `${whole} us, ${usual} us with usual chunks`)
})

t.test('one huge chunk is parsed in many turns of the event loop', async (t) => {
  for (const [name, inner] of Object.entries({ ...HOSTILE, plain: property('x') })) {
    const text = hostile(inner, 256 * 1024)
    let turns = 0
    let done = false
    const count = (): void => {
      turns++
      if (!done) setImmediate(count)
    }
    setImmediate(count)
    await read(text).finally(() => (done = true))
    t.ok(turns >= (text.length / BLOCK_BYTES) * 0.9, `${name}: ${turns} turns`)
  }
})

t.test('a response that is larger than any real one is refused', async (t) => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => `<p${index}/>`).join('')
  for (const [name, inner] of Object.entries({
    'a resource of 300 KB': property('x'.repeat(300_000)),
    'a resource of 300 KB of small elements': repeatTo('<a/>', 300_000),
    'a resource of 300 KB of names': repeatTo('<D:href>/a</D:href>', 300_000),
    '300 attributes': `<a ${attributes(300)}/>`,
    'deep nesting': '<a>'.repeat(100) + '</a>'.repeat(100),
    'many properties': `<D:propstat><D:prop>${many(2000)}</D:prop></D:propstat>`,
    'many parts of one property': property(many(2000)),
    'an unterminated comment': '<!-- ',
    'an unterminated CDATA section': '<![CDATA[ ',
    'an unterminated instruction': '<? ',
    'an unterminated attribute': '<a b="> ',
    'an unknown reference': property('&nothing;'),
    'a bare ampersand': property('a & b'),
    'half a surrogate': property('&#xd800;')
  })) {
    await rejectsWith(t, read(hostile(inner, 1)), 'PROVIDER_ERROR', name)
  }
})

t.test('element names such as __proto__ have no special meaning', async (t) => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'response', 'multistatus']
  const [resource] = await read(multistatus(response('/a', names.map((name) => `<${name}>x</${name}>`).join(''))))
  t.same(Object.keys(resource?.properties ?? {}).sort(), [...names].sort())
  const [nested] = await read(multistatus(response('/a', '<x><__proto__><y/></__proto__><z/></x>')))
  t.same(Object.keys(nested?.properties['x'] ?? {}), ['__proto__', 'z'])
})

t.test('a response that takes too long to parse times out, according to the injected clock', async (t) => {
  const slow = new ManualClock()
  const resources: DavResource[] = []
  const text = multistatus(repeatTo(response('/a'), 1024 * 1024))
  const reading = (async () => {
    for await (const resource of readMultistatus(Readable.from(splitIntoChunks(text, 65_536)), slow)) {
      resources.push(resource)
      // A block contains about a hundred of them.
      slow.tick(20)
    }
  })()
  const error = await reading.catch((error: unknown) => error)
  t.match(error, { code: 'PROVIDER_ERROR', cause: { message: /takes too long/ } })
  t.ok(resources.length > 700 && resources.length < 2000, `${resources.length} were read`)
})

t.test('an error of the body is passed on', async (t) => {
  const reason = new Error('gone')
  const body = Readable.from(
    (function* () {
      yield Buffer.from(multistatus(response('/a').repeat(1000)).slice(0, -20))
      throw reason
    })()
  )
  const reading = (async () => {
    for await (const { href } of readMultistatus(body, clock)) t.equal(href, '/a')
  })()
  t.equal(await reading.catch((error: unknown) => error), reason)
})
