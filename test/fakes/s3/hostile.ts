import { gzipSync } from 'node:zlib'
import { Readable } from 'node:stream'
import { repeatTo as fill } from '../../support/time/cpu-time.ts'
import type { S3Script } from './fake-s3.ts'
import { xmlDocument } from './xml.ts'

const MIB = 1024 * 1024

/** Returns a listing with any content. */
export const listingXml = (content: string) =>
  xmlDocument('ListBucketResult', `<IsTruncated>false</IsTruncated>${content}`)

const attributes = (count: number, name = 'a') =>
  Array.from({ length: count }, (_, index) => `${name}${index}=""`).join(' ')

/** Documents on which a parser may be slow or wrong, by description. */
export const HOSTILE_LISTINGS: Readonly<Record<string, () => string | Buffer>> = {
  'repeated document types': () => fill('<!DOCTYPE a>', 4 * MIB),
  'document types in the root': () => listingXml(fill('<!DOCTYPE a>', 4 * MIB)),
  'a document type without an end': () => `<!DOCTYPE a [${fill('[<!ELEMENT b ANY>', 4 * MIB)}`,
  '1,000 entities': () => `<!DOCTYPE a [${fill('<!ENTITY b "c">', 15_000)}]>${listingXml(fill('&b;', 4 * MIB))}`,
  'nested entities': () => '<!DOCTYPE a [<!ENTITY b "&c;&c;"><!ENTITY c "&b;&b;">]><a>&b;</a>',
  'references to unknown entities': () => listingXml(fill('&nbsp;', MIB)),
  'ampersands without a reference': () => listingXml(fill('&', MIB)),
  'elements 100,000 deep': () => listingXml(fill('<a>', 300_000) + fill('</a>', 400_000)),
  'another root': () => xmlDocument('ListAllMyBucketsResult', '<IsTruncated>false</IsTruncated>'),
  'elements 20 deep': () => listingXml('<a>'.repeat(20) + '</a>'.repeat(20)),
  'an element with 100,000 attributes': () => listingXml(`<a ${fill('b="c" ', 600_000)}/>`),
  'an attribute of 5 MB': () => listingXml(`<a b="${fill('>', 5_000_000)}"/>`),
  'a tag without an end': () => `<ListBucketResult ${fill('a', 5 * MIB)}`,
  'a quote without an end': () => `<ListBucketResult a="${fill(`b' `, 5 * MIB)}`,
  'a name of 5 MB': () => listingXml(`<${fill('a', 5 * MIB)}/>`),
  'a closing tag of 5 MB': () => listingXml(`<a></a${fill(' ', 5 * MIB)}>`),
  'a text of 5.9 MB': () => listingXml(fill('a', 5_900_000)),
  'a text of 5.9 MB of line ends': () => listingXml(fill('\r', 5_900_000)),
  '5.9 MB of the smallest elements': () => listingXml(fill('<a/>', 5_900_000)),
  '16 MB of harmless elements': () => listingXml(fill('<Contents><Key>a</Key><Size>1</Size></Contents>', 16_000_000)),
  '16 MB of space': () => listingXml(fill(' ', 16_000_000)),
  'endless space': () => fill(' ', 6 * MIB),
  'a comment without an end': () => listingXml(`<!--${fill('- ', 5 * MIB)}`),
  'beginnings of comments': () => listingXml(fill('<!--', 5 * MIB)),
  'millions of comments': () => listingXml(fill('<!---->', 5 * MIB)),
  'beginnings of CDATA': () => listingXml(fill('<![CDATA[', 5 * MIB)),
  'millions of CDATA sections': () => listingXml(fill('<![CDATA[]]>', 5 * MIB)),
  'beginnings of instructions': () => fill('<?', 5 * MIB),
  'millions of instructions': () => fill('<?a?>', 5 * MIB),
  'unclosed elements': () => listingXml(fill('<Contents>', 5 * MIB)),
  'closing tags only': () => fill('</a>', 5 * MIB),
  'two roots': () => listingXml('') + listingXml(''),
  'text after the root': () => `${listingXml('')}x`,
  'open angle brackets': () => fill('<', 5 * MIB),
  'invalid UTF-8': () => Buffer.concat([Buffer.from('<ListBucketResult><Key>'), Buffer.alloc(MIB, 0xff)]),
  'invalid UTF-8 in a key': () => Buffer.from(listingXml('<Contents><Key>\u00ff</Key></Contents>'), 'latin1'),
  '7 MB of long texts': () => listingXml(fill(`<a>${fill('b', 60_000)}</a>`, 7 * MIB)),
  'half a character': () => Buffer.concat([Buffer.from(listingXml('')), Buffer.from([0xc3])]),
  'UTF-16': () => Buffer.from(`\ufeff${listingXml('')}`, 'utf16le'),
  'no character': () => listingXml('<Contents><Key>&#55296;</Key></Contents>'),
  'zero bytes': () => Buffer.alloc(5 * MIB),
  'unrequested gzip': () => gzipSync(listingXml(fill(' ', 64 * MIB))),
  'names of 60 KB': () => listingXml(fill(`<${fill('a', 60_000)}/>`, 5 * MIB) + '<'),
  'attributes of 60 KB': () => listingXml(fill(`<a b="${fill('c', 60_000)}"/>`, 5 * MIB) + '<'),
  'elements with 250 attributes': () => listingXml(fill(`<a ${attributes(250)}/>`, 5 * MIB) + '<'),
  'elements with 1,000 namespaces': () => listingXml(fill(`<a ${attributes(1000, 'xmlns:a')}/>`, 5 * MIB)),
  'an attribute twice': () => listingXml(fill('<a b="" b=""/>', 5 * MIB)),
  'millions of references': () => listingXml(fill(`<a>${fill('&lt;', 60_000)}</a>`, 5 * MIB) + '<a'),
  'a reference without an end': () => listingXml(`&${fill('a', 5 * MIB)}`),
  'a number of 5 MB': () => listingXml(`&#${fill('0', 5 * MIB)};`),
  'dashes in a comment': () => listingXml(`<!--${fill('-', 5 * MIB)}-->`),
  'members of Object.prototype': () => listingXml(fill('<__proto__><constructor/></__proto__>', MIB).slice(0, -1))
}

/** Sends a body in pieces, each in a turn of its own, until the client disconnects. */
export function sendsInChunks(body: string | Buffer, status = 200, headers: Record<string, string> = {}): S3Script {
  const bytes = Buffer.from(body)
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/xml', ...headers })
    const chunks = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, index) =>
      bytes.subarray(index * 65_536, (index + 1) * 65_536)
    )
    Readable.from(chunks).pipe(response)
    return true
  }
}
