import { gzipSync } from 'node:zlib'
import { Readable } from 'node:stream'
import { repeated as fill } from '../../support/time/cpu-time.ts'
import type { Script } from './fake-s3.ts'
import { wrap } from './xml.ts'

const MIB = 1024 * 1024

/** Returns a listing with any content. */
export const list = (content: string) => wrap('ListBucketResult', `<IsTruncated>false</IsTruncated>${content}`)

const attributes = (count: number, name = 'a') =>
  Array.from({ length: count }, (_, index) => `${name}${index}=""`).join(' ')

/** Documents on which a parser may be slow or wrong, by description. */
export const HOSTILE_LISTINGS: Readonly<Record<string, () => string | Buffer>> = {
  'repeated document types': () => fill('<!DOCTYPE a>', 4 * MIB),
  'document types in the root': () => list(fill('<!DOCTYPE a>', 4 * MIB)),
  'a document type without an end': () => `<!DOCTYPE a [${fill('[<!ELEMENT b ANY>', 4 * MIB)}`,
  '1,000 entities': () => `<!DOCTYPE a [${fill('<!ENTITY b "c">', 15_000)}]>${list(fill('&b;', 4 * MIB))}`,
  'nested entities': () => '<!DOCTYPE a [<!ENTITY b "&c;&c;"><!ENTITY c "&b;&b;">]><a>&b;</a>',
  'references to unknown entities': () => list(fill('&nbsp;', MIB)),
  'ampersands without a reference': () => list(fill('&', MIB)),
  'elements 100,000 deep': () => list(fill('<a>', 300_000) + fill('</a>', 400_000)),
  'another root': () => wrap('ListAllMyBucketsResult', '<IsTruncated>false</IsTruncated>'),
  'elements 20 deep': () => list('<a>'.repeat(20) + '</a>'.repeat(20)),
  'an element with 100,000 attributes': () => list(`<a ${fill('b="c" ', 600_000)}/>`),
  'an attribute of 5 MB': () => list(`<a b="${fill('>', 5_000_000)}"/>`),
  'a tag without an end': () => `<ListBucketResult ${fill('a', 5 * MIB)}`,
  'a quote without an end': () => `<ListBucketResult a="${fill(`b' `, 5 * MIB)}`,
  'a name of 5 MB': () => list(`<${fill('a', 5 * MIB)}/>`),
  'a closing tag of 5 MB': () => list(`<a></a${fill(' ', 5 * MIB)}>`),
  'a text of 5.9 MB': () => list(fill('a', 5_900_000)),
  'a text of 5.9 MB of line ends': () => list(fill('\r', 5_900_000)),
  '5.9 MB of the smallest elements': () => list(fill('<a/>', 5_900_000)),
  '16 MB of harmless elements': () => list(fill('<Contents><Key>a</Key><Size>1</Size></Contents>', 16_000_000)),
  '16 MB of space': () => list(fill(' ', 16_000_000)),
  'endless space': () => fill(' ', 6 * MIB),
  'a comment without an end': () => list(`<!--${fill('- ', 5 * MIB)}`),
  'beginnings of comments': () => list(fill('<!--', 5 * MIB)),
  'millions of comments': () => list(fill('<!---->', 5 * MIB)),
  'beginnings of CDATA': () => list(fill('<![CDATA[', 5 * MIB)),
  'millions of CDATA sections': () => list(fill('<![CDATA[]]>', 5 * MIB)),
  'beginnings of instructions': () => fill('<?', 5 * MIB),
  'millions of instructions': () => fill('<?a?>', 5 * MIB),
  'unclosed elements': () => list(fill('<Contents>', 5 * MIB)),
  'closing tags only': () => fill('</a>', 5 * MIB),
  'two roots': () => list('') + list(''),
  'text after the root': () => `${list('')}x`,
  'open angle brackets': () => fill('<', 5 * MIB),
  'invalid UTF-8': () => Buffer.concat([Buffer.from('<ListBucketResult><Key>'), Buffer.alloc(MIB, 0xff)]),
  'invalid UTF-8 in a key': () => Buffer.from(list('<Contents><Key>\u00ff</Key></Contents>'), 'latin1'),
  '7 MB of long texts': () => list(fill(`<a>${fill('b', 60_000)}</a>`, 7 * MIB)),
  'half a character': () => Buffer.concat([Buffer.from(list('')), Buffer.from([0xc3])]),
  'UTF-16': () => Buffer.from(`\ufeff${list('')}`, 'utf16le'),
  'no character': () => list('<Contents><Key>&#55296;</Key></Contents>'),
  'zero bytes': () => Buffer.alloc(5 * MIB),
  'unrequested gzip': () => gzipSync(list(fill(' ', 64 * MIB))),
  'names of 60 KB': () => list(fill(`<${fill('a', 60_000)}/>`, 5 * MIB) + '<'),
  'attributes of 60 KB': () => list(fill(`<a b="${fill('c', 60_000)}"/>`, 5 * MIB) + '<'),
  'elements with 250 attributes': () => list(fill(`<a ${attributes(250)}/>`, 5 * MIB) + '<'),
  'elements with 1,000 namespaces': () => list(fill(`<a ${attributes(1000, 'xmlns:a')}/>`, 5 * MIB)),
  'an attribute twice': () => list(fill('<a b="" b=""/>', 5 * MIB)),
  'millions of references': () => list(fill(`<a>${fill('&lt;', 60_000)}</a>`, 5 * MIB) + '<a'),
  'a reference without an end': () => list(`&${fill('a', 5 * MIB)}`),
  'a number of 5 MB': () => list(`&#${fill('0', 5 * MIB)};`),
  'dashes in a comment': () => list(`<!--${fill('-', 5 * MIB)}-->`),
  'members of Object.prototype': () => list(fill('<__proto__><constructor/></__proto__>', MIB).slice(0, -1))
}

/** Sends a body in pieces, each in a turn of its own, until the client disconnects. */
export function send(body: string | Buffer, status = 200, headers: Record<string, string> = {}): Script {
  const bytes = Buffer.from(body)
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/xml', ...headers })
    const pieces = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, index) =>
      bytes.subarray(index * 65_536, (index + 1) * 65_536)
    )
    Readable.from(pieces).pipe(response)
    return true
  }
}
