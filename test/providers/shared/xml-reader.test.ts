import t, { type Test } from 'tap'
import { Readable } from 'node:stream'
import { readXml, XmlError, type XmlOptions } from '../../../src/providers/shared/xml-reader.ts'
import { minCpuTime, splitIntoChunks, repeatTo } from '../../support/time/cpu-time.ts'

const KIB = 1024
const MIB = 1024 * KIB
/** Bytes parsed in one turn of the event loop. */
const BLOCK_BYTES = 16 * KIB
const LIMITS: XmlOptions = {
  maxBytes: 8 * MIB,
  maxDepth: 16,
  maxTokenLength: 64 * KIB,
  maxTokens: Infinity,
  invalidUtf8: 'refuse'
}

/** Returns the events that the handler receives, with the parts of each text joined. */
async function read(body: Readable | readonly (string | Buffer)[], options: Partial<XmlOptions> = {}): Promise<string> {
  let text = ''
  const handler = {
    onStart: (name: string) => (text += `<${name}>`),
    onText: (part: string) => (text += part),
    onEnd: (name: string) => (text += `</${name}>`)
  }
  const stream = body instanceof Readable ? body : Readable.from(body.map((chunk) => Buffer.from(chunk)))
  for await (const bytes of readXml(stream, { ...LIMITS, ...options }, handler)) {
    if (bytes > BLOCK_BYTES) throw new Error('A block is too large')
  }
  return text
}

async function refuses(t: Test, kind: XmlError['kind'], why: RegExp, reading: Promise<unknown>, what: string) {
  const error: unknown = await reading.then(
    () => 'it was read',
    (error: unknown) => error
  )
  if (!(error instanceof XmlError)) t.fail(`${what.slice(0, 60)}: ${String(error)}`)
  else t.match(error, { kind, message: why }, what.slice(0, 60))
}

const DOCUMENT =
  '<?xml version="1.0" encoding="UTF-8"?>\r\n<!-- a - b --><?pi a ?b?>\n' +
  `<a:root xmlns:a="u" b='"&gt;>'>\u00e9\u{1f4be}&amp;&#x1F4BE;&#65;\r\n<![CDATA[<x> & ]] ]]]>]<b/><c\n></c\n>\r</a:root>\n<!-- --> `
const PARSED = '<a:root>\u00e9\u{1f4be}&\u{1f4be}A\n<x> & ]] ]]<b></b><c></c>\n</a:root>'

t.test('a document is the same however its bytes are split', async (t) => {
  const bytes = Buffer.from(DOCUMENT)
  t.equal(await read([DOCUMENT]), PARSED)
  t.equal(await read(splitIntoChunks(DOCUMENT, 1)), PARSED)
  const broken: number[] = []
  for (let at = 0; at <= bytes.length; at++) {
    if ((await read([bytes.subarray(0, at), bytes.subarray(at)])) !== PARSED) broken.push(at)
    const padded = `<!--${' '.repeat(BLOCK_BYTES - 7 - at)}-->${DOCUMENT.replace(/^<\?xml.*\?>/, '')}`
    if ((await read([padded])) !== PARSED) broken.push(at)
  }
  t.same(broken, [])
})

t.test('a byte order mark and blank lines ahead of the document are accepted', async (t) => {
  for (const start of ['\ufeff', '\n\r\n \t', '\ufeff\n']) {
    t.equal(await read([start + DOCUMENT]), PARSED)
    t.equal(await read(splitIntoChunks(start + DOCUMENT, 1)), PARSED)
  }
  t.equal(await read([]), '', 'an empty body is not an error')
})

t.test('a reference may name any character but NUL, even one that XML 1.0 excludes', async (t) => {
  t.equal(
    await read(['<?xml version="1.1"?><a>a&#x01;b&#31;&#xFFFE;&#133;\u0085\u2028</a>']),
    '<a>a\u0001b\u001f\ufffe\u0085\u0085\u2028</a>'
  )
  for (const reference of [
    '&#0;',
    '&#xd800;',
    '&#xDFFF;',
    '&#x110000;',
    '&#99999999999999999999;',
    '&#;',
    '&#x;',
    '&#xg;',
    '&;'
  ]) {
    await refuses(t, 'malformed', /not well-formed/, read([`<a>${reference}</a>`]), reference)
  }
  for (const name of ['nbsp', 'toString', '__proto__', 'constructor', '__defineGetter__']) {
    await refuses(t, 'malformed', /not well-formed/, read([`<a>&${name};</a>`]), name)
  }
})

t.test('invalid UTF-8 is refused, or replaced where that is requested', async (t) => {
  for (const bytes of [Buffer.from([0xff]), Buffer.from([0xc3]), Buffer.from([0xed, 0xa0, 0x80])]) {
    const chunks = ['<a>', bytes, '</a>']
    await refuses(t, 'malformed', /not UTF-8/, read(chunks), bytes.toString('hex'))
    t.match(await read(chunks, { invalidUtf8: 'replace' }), /^<a>\ufffd+<\/a>$/)
  }
  await refuses(t, 'malformed', /not UTF-8/, read(['<a/>', Buffer.from([0xc3])]), 'an incomplete character at the end')
  await refuses(t, 'malformed', /./, read([Buffer.from(DOCUMENT, 'utf16le')]), 'UTF-16')
})

t.test('text that is not well-formed XML is refused as malformed', async (t) => {
  for (const text of [
    'no XML',
    'x<a/>',
    '<a/>x',
    '&amp;<a/>',
    '<a/>&amp;',
    '<![CDATA[x]]><a/>',
    '<a/><![CDATA[x]]>',
    '<a/><b/>',
    '<a></a><b></b>',
    '<a><b></a></b>',
    '<a></b>',
    '</a>',
    '<a></></a>',
    '<a b/>',
    '<a b=c/>',
    '<a b="1" b="2"/>',
    '<a __proto__="1" __proto__="2"/>',
    '<a b="<"/>',
    '<a b="1"c="2"/>',
    '<a / >',
    '<1/>',
    '<a>]]></a>',
    '<a>&</a>',
    '<a><</a>',
    '<a>\u0001</a>',
    '<a>\u0000</a>',
    '<!-- a -- b --><a/>',
    '<a/><?xml version="1.0"?>',
    '<?xml?><a/>',
    '<? ?><a/>',
    '<a><!ENTITY b "c"></a>',
    '<a><!x></a>',
    '<!doctype html><p>'
  ]) {
    await refuses(t, 'malformed', /not well-formed|truncated/, read([text]), text)
  }
  await refuses(t, 'malformed', /HTML/, read(['<!DOCTYPE html><p>x<br></p>']), 'an HTML page')
  await refuses(t, 'malformed', /HTML/, read(['<!DOCTYPE\n  HTML PUBLIC "-//W3C//DTD HTML 4.01//EN">']), 'an old page')
  const document = '<?xml version="1.0"?><a b="c">text&amp;<![CDATA[x]]><!-- y --><?z?><b/></a>'
  for (let at = 1; at < document.length; at++) {
    await refuses(t, 'malformed', /truncated/, read([document.slice(0, at)]), document.slice(0, at))
  }
})

t.test('a document type is refused anywhere, and no entity is expanded', async (t) => {
  for (const text of [
    '<!DOCTYPE a><a/>',
    '<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    '<!DOCTYPE a [<!ENTITY b "&c;&c;"><!ENTITY c "&b;&b;">]><a>&b;</a>',
    '<!DOCTYPE a [<!-- > --><?x > ?>"]">]><a/>',
    '<a><!DOCTYPE a></a>',
    '<a/><!DOCTYPE a>'
  ]) {
    await refuses(t, 'prohibited', /document type/, read([text]), text)
    await refuses(t, 'prohibited', /document type/, read(splitIntoChunks(text, 1)), text)
  }
  t.equal(await read(['<a><![CDATA[<!DOCTYPE a>]]><!-- <!DOCTYPE a> --></a>']), '<a><!DOCTYPE a></a>')
})

t.test('depth, attributes, tokens and bytes are limited', async (t) => {
  const nested = (depth: number) => '<a>'.repeat(depth) + '</a>'.repeat(depth)
  const attributes = (count: number) => `<a ${Array.from({ length: count }, (_, at) => `a${at}=""`).join(' ')}/>`
  t.ok(await read([nested(16)]))
  await refuses(t, 'prohibited', /nested/, read([nested(17)]), 'depth')
  await refuses(t, 'prohibited', /nested/, read(splitIntoChunks(nested(17), 1)), 'depth, byte by byte')
  t.ok(await read([`<a>${repeatTo('<b/>', 1000)}</a>`]), 'siblings do not count as depth')
  t.ok(await read([`<a>${attributes(256)}${attributes(256)}</a>`]))
  await refuses(t, 'prohibited', /attributes/, read([attributes(257)]), 'attributes')
  await refuses(t, 'prohibited', /attributes/, read([attributes(257).slice(0, -2)]), 'attributes of an unfinished tag')
  for (const unit of ['<b/>', '<!---->', '<?b?>', '<![CDATA[]]>', 'x<b></b>']) {
    const reading = read([`<a>${unit.repeat(101)}</a>`], { maxTokens: 100 })
    await refuses(t, 'prohibited', /too many elements/, reading, `100 tokens of ${unit}`)
  }
  t.ok(await read([`<a>${'x'.repeat(993)}</a>`], { maxBytes: 1000 }))
  await refuses(t, 'prohibited', /too large/, read([`<a>${'x'.repeat(994)}</a>`], { maxBytes: 1000 }), 'bytes')
})

/** Endless tokens: the start of a document, and the part that is repeated. */
const ENDLESS: Readonly<Record<string, readonly [string, string]>> = {
  'space ahead of the document': ['', ' '],
  'byte order marks': ['', '\ufeff'],
  'space behind the root': ['<a/>', '\n'],
  text: ['<a>', 'x'],
  'line ends': ['<a>', '\r'],
  brackets: ['<a>', ']'],
  'characters of four bytes': ['<a>', '\u{1f4be}'],
  references: ['<a>', '&lt;'],
  'a reference': ['<a>&', 'x'],
  'a numeric reference': ['<a>&#', '0'],
  'an element name': ['<', 'x'],
  'the name of an end tag': ['<a></', 'x'],
  'space in a tag': ['<a ', ' '],
  'space in an end tag': ['<a></a', ' '],
  'an attribute name': ['<a ', 'x'],
  'space behind an attribute name': ['<a b', ' '],
  'an attribute value': ['<a b="', 'x'],
  'line ends in an attribute value': ['<a b="', '\r\n'],
  'references in an attribute value': ['<a b="', '&amp;'],
  'a comment': ['<!--', 'x'],
  'dashes in a comment': ['<!--', ' -'],
  'a CDATA section': ['<a><![CDATA[', ']'],
  'an instruction': ['<?a ', '?'],
  'the name of an instruction': ['<?', 'a'],
  'space in an instruction': ['<?a', ' '],
  'an XML declaration': ['<?xml ', ' '],
  'a version': ['<?xml version="1.0', '0'],
  'a document type': ['<!DOCTYPE a [', '<!ENTITY a "b">'],
  'quotes in a document type': ['<!DOCTYPE ', `"'" `],
  'comments in a document type': ['<!DOCTYPE a [', '<!-- - -->']
}

t.test('an endless token is refused early, and the body is destroyed', async (t) => {
  for (const [what, [start, more]] of Object.entries(ENDLESS)) {
    for (const size of [1000, 300_000]) {
      let sent = 0
      const body = Readable.from(
        (function* () {
          yield Buffer.from(start)
          for (; sent < 4 * MIB; sent += size) yield Buffer.from(repeatTo(more, size))
        })(),
        { highWaterMark: 1 }
      )
      await refuses(t, 'prohibited', /too long/, read(body), `${what}, ${size} at a time`)
      t.equal(body.destroyed, true)
      t.ok(sent < 600 * KIB, `${sent} characters were sent`)
    }
  }
})

t.test('the longest allowed token of any kind is accepted, also in blocks that end in it', async (t) => {
  const long = 'x'.repeat(64 * KIB - 20)
  for (const document of [
    `<a>${long}</a>`,
    `<a b="${long}"/>`,
    `<a><!--${long}--></a>`,
    `<a><?b ${long}?></a>`,
    `<a><![CDATA[${long}]]></a>`,
    `<${long}/>`
  ]) {
    t.ok(await read([document]))
    const longer = document.replace(long, `${long}${'x'.repeat(40)}`)
    await refuses(t, 'prohibited', /too long/, read([longer]), longer)
  }
})

/** Inputs on which a parser may be slow. Each consists of one or many tokens for which `saxes` has a state. */
const SLOW: Readonly<Record<string, string>> = {
  elements: '<b/>',
  'elements with content': '<b>x</b>',
  comments: '<!---->',
  'long comments': `<!--${repeatTo('- ', 60_000)}-->`,
  CDATA: '<![CDATA[]]>',
  'long CDATA sections': `<![CDATA[${repeatTo(']', 60_000)}]]>`,
  instructions: '<?b?>',
  'long instructions': `<?b ${repeatTo('?', 60_000)}?>`,
  references: '&lt;',
  'numeric references': '&#1;',
  'long references': `&#x${repeatTo('0', 60_000)}41;`,
  'line ends': '\r',
  text: 'x',
  'brackets in text': ']',
  'long names': `<${repeatTo('b', 30_000)}></${repeatTo('b', 30_000)}>`,
  'long values': `<b c="${repeatTo('x', 60_000)}"/>`,
  'line ends in values': `<b c="${repeatTo('\n', 60_000)}"/>`,
  'references in values': `<b c="${repeatTo('&lt;', 60_000)}"/>`,
  attributes: `<b ${Array.from({ length: 250 }, (_, at) => `a${at}=""`).join(' ')}/>`,
  namespaces: `<b ${Array.from({ length: 250 }, (_, at) => `xmlns:a${at}="u"`).join(' ')}/>`,
  nesting: '<b>'.repeat(14) + '</b>'.repeat(14)
}
/** A comment ends each text before the length limit. */
const slow = (unit: string, length: number) =>
  `<a>${repeatTo(`${repeatTo(unit, unit.length > 1000 ? 1 : 50_000)}<!---->`, length)}</a>`

t.test('the CPU time of any XML is linear in its length, within a factor of that of plain XML', async (t) => {
  const short = 64 * KIB
  const cost = (text: string, chunk: number) => minCpuTime(() => read(splitIntoChunks(text, chunk)))
  const plain = await cost(`<a>${repeatTo('<b>text</b> ', 4 * short)}</a>`, 64 * KIB)
  for (const [what, unit] of Object.entries(SLOW)) {
    const once = await cost(slow(unit, short), 64 * KIB)
    const fourfold = await cost(slow(unit, 4 * short), 64 * KIB)
    t.ok(fourfold < 12 * Math.max(once, 5_000), `${what}: ${once} and ${fourfold} us`)
    t.ok(fourfold < 20 * plain, `${what}: ${fourfold} us, and ${plain} us of plain XML`)
  }
})

t.test('single bytes cost no more within long tokens than between short ones', async (t) => {
  const cost = (text: string) =>
    minCpuTime(() => read([...splitIntoChunks(text.slice(0, BLOCK_BYTES), 1), Buffer.from(text.slice(BLOCK_BYTES))]))
  const plain = await cost(`<a>${repeatTo('<b>text</b> ', 64 * KIB)}</a>`)
  for (const what of [
    'text',
    'long comments',
    'long CDATA sections',
    'long instructions',
    'long values',
    'long names'
  ]) {
    const single = await cost(slow(SLOW[what] ?? '', 64 * KIB))
    t.ok(single < 8 * Math.max(plain, 20_000), `${what}: ${single} us, and ${plain} us of plain XML`)
  }
})

t.test('a body that arrives at once is parsed in many turns, shared by all documents', async (t) => {
  const text = Buffer.from(`<a>${repeatTo('<b>text</b>', MIB)}</a>`)
  let turns = 0
  let isDone = false
  const count = () => {
    turns++
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  await Promise.all([1, 2, 3].map(() => read([text]))).finally(() => (isDone = true))
  t.ok(turns >= (3 * text.length) / BLOCK_BYTES, `${turns} turns`)
})

t.test('errors of the body and of the handler pass unchanged and end the body', async (t) => {
  const reason = new Error('gone')
  const text = Buffer.from(`<a>${repeatTo('<b/>', 100 * KIB)}`)
  const failing = Readable.from(
    (function* () {
      yield text
      throw reason
    })()
  )
  t.equal(await read(failing).catch((error: unknown) => error), reason)

  const body = Readable.from([text, text])
  const handler = {
    onStart: () => {
      throw reason
    },
    onText: () => undefined,
    onEnd: () => undefined
  }
  const reading = (async () => {
    for await (const bytes of readXml(body, LIMITS, handler)) t.fail(`${bytes} bytes`)
  })()
  t.equal(await reading.catch((error: unknown) => error), reason)
  t.equal(body.destroyed, true)

  const stopped = Readable.from([text, text])
  const ignore = { onStart: () => undefined, onText: () => undefined, onEnd: () => undefined }
  for await (const bytes of readXml(stopped, LIMITS, ignore)) {
    t.equal(bytes, BLOCK_BYTES)
    break
  }
  t.equal(stopped.destroyed, true, 'when the consumer stops')
})
