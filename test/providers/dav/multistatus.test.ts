import t from 'tap'
import { Readable } from 'node:stream'
import { type DavResource, readMultistatus } from '../../../src/providers/dav/multistatus.ts'
import { rejectsWith } from '../../contract/suite/arrange.ts'

const XML = '<?xml version="1.0" encoding="utf-8"?>'

async function read(...chunks: (string | Buffer)[]): Promise<DavResource[]> {
  const resources: DavResource[] = []
  const bytes = chunks.map((chunk) => Buffer.from(chunk))
  for await (const resource of readMultistatus(Readable.from(bytes))) resources.push(resource)
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

t.test('it does not matter where chunks end, in tags and in characters', async (t) => {
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

t.test('prefixes mean nothing, and all properties count that were found', async (t) => {
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
  t.equal((await read(multistatus(many.join('')))).length, 700, 'however many there are')
})

t.test('a multistatus may hold nothing', async (t) => {
  t.same(await read(`${XML}<D:multistatus xmlns:D="DAV:"/>\n<!-- x -->`), [])
  t.same(await read(multistatus('')), [])
})

t.test('what is no multistatus, or not all of one, is an error', async (t) => {
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
    'something behind': `${good}<html>`,
    'something behind nothing': `${XML}<D:multistatus xmlns:D="DAV:"/>x`,
    'two of them': good + good.replace(XML, '')
  }
  for (const [name, text] of Object.entries(cases)) await rejectsWith(t, read(text), 'PROVIDER_ERROR', name)
  for (let at = 1; at < good.length; at += 7) await rejectsWith(t, read(good.slice(0, at)), 'PROVIDER_ERROR', `${at}`)
})

t.test('what never comes to an end is given up early', async (t) => {
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
      for await (const resource of readMultistatus(body)) t.fail(resource.href)
    })()
    await rejectsWith(t, reading, 'PROVIDER_ERROR', start)
    t.ok(sent < 100, `after ${sent} chunks`)
    t.equal(body.destroyed, true)
  }
})

t.test('a million resources can be stopped early, while others have their turn', async (t) => {
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
  for await (const { href } of readMultistatus(body)) {
    if (href !== `/d/${count}`) t.fail(href)
    if (++count === 20_000) break
  }
  clearInterval(timer)
  t.ok(turns > 10, `${turns} turns`)
  t.ok(sent < 30_000, `${sent} were sent`)
  t.equal(body.destroyed, true)
})

t.test('a body that breaks off breaks the reading with its own error', async (t) => {
  const reason = new Error('gone')
  const body = Readable.from(
    (function* () {
      yield Buffer.from(multistatus(response('/a').repeat(1000)).slice(0, -20))
      throw reason
    })()
  )
  const reading = (async () => {
    for await (const { href } of readMultistatus(body)) t.equal(href, '/a')
  })()
  t.equal(await reading.catch((error: unknown) => error), reason)
})
