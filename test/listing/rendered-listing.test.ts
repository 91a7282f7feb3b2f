import { createHash } from 'node:crypto'
import t from 'tap'
import type { Listing } from '../../src/core/entry.ts'
import { RenderedListing } from '../../src/listing/rendered-listing.ts'
import { entry } from '../support/backend/scripted-backend.ts'

/** A file name that looks like part of the JSON. */
const FORGED = '"page":{"next":"x"}'

function listing(over: { names?: readonly string[]; next?: string | null } = {}): Listing {
  const { names = ['a'], next = null } = over
  return {
    provider: 'scripted',
    connectionId: 'c1',
    folder: { id: null, name: null, parentId: null },
    entries: names.map((name) => entry(name)),
    page: { next, complete: next === null, reason: next === null ? null : 'more', order: 'provider' }
  }
}

t.test('a listing is serialised unchanged, and its ETag is a digest of its bytes', async (t) => {
  const value = listing({ names: ['ü', '\ud83d\ude00'], next: 'n' })
  const { identity, next, size } = RenderedListing.of(value)
  t.equal(identity.bytes.toString(), JSON.stringify(value))
  t.equal(identity.etag, `"${createHash('sha256').update(JSON.stringify(value)).digest('base64url')}"`)
  t.equal(identity.encoding, 'identity')
  t.equal(next, 'n')
  t.equal(size, Buffer.byteLength(JSON.stringify(value)))
})

t.test('each encoding has its own ETag, and equal listings have equal ones', async (t) => {
  const one = RenderedListing.of(listing())
  const two = RenderedListing.ofBytes(Buffer.from(JSON.stringify(listing())))
  const other = RenderedListing.of(listing({ names: ['b'] }))
  const etags = [one, two, other].map((each) => {
    each.addCoded('br', Buffer.from('coded'))
    each.addCoded('gzip', Buffer.from('coded'))
    return [each.identity.etag, each.coded('br')?.etag, each.coded('gzip')?.etag]
  })
  t.equal(new Set(etags[0]).size, 3)
  t.strictSame(etags[1], etags[0])
  t.equal(new Set([...etags[0]!, ...etags[2]!]).size, 6)
  for (const etag of etags[0]!) t.match(etag, /^"[\w-]+"$/, 'strong, and quoted as in the header')
})

t.test('the size is the sum of all encodings', async (t) => {
  const rendered = RenderedListing.of(listing())
  const plain = rendered.identity.bytes.byteLength
  t.equal(rendered.coded('br'), undefined)
  rendered.addCoded('br', Buffer.alloc(10))
  t.equal(rendered.size, plain + 10)
  rendered.addCoded('gzip', Buffer.alloc(7))
  t.equal(rendered.size, plain + 17)
  t.match(rendered.coded('gzip'), { encoding: 'gzip', bytes: Buffer.alloc(7) })
  rendered.dropCoded('br')
  t.equal(rendered.size, plain + 7)
  t.equal(rendered.coded('br'), undefined)
})

t.test('the next cursor is found in the bytes, whatever the names of the entries are', async (t) => {
  for (const next of ['cursor', null]) {
    for (const names of [[], ['a'], [FORGED], [`{${FORGED}}`, '\\', '\\"page\\":{', '\\\\"page":{'], ['"page":{']]) {
      const bytes = Buffer.from(JSON.stringify(listing({ names, next })))
      t.equal(RenderedListing.ofBytes(bytes).next, next, `${String(next)} after ${JSON.stringify(names)}`)
    }
  }
})

t.test('the next cursor is found without parsing the entries', async (t) => {
  const bytes = Buffer.from('{"entries":[what is no JSON],"page":{"next":"cursor","complete":false}}')
  t.equal(RenderedListing.ofBytes(bytes).next, 'cursor')
  const nested = Buffer.from('{"entries":[{"page":{"next":"x"}}],"page":{"next":"cursor"}}')
  t.equal(RenderedListing.ofBytes(nested).next, 'cursor', 'the last page object is that of the listing')
})

t.test('bytes without a page object have no next cursor', async (t) => {
  for (const text of ['{"entries":["secret"]}', '{}', '', JSON.stringify({ entries: [FORGED] })]) {
    t.equal(RenderedListing.ofBytes(Buffer.from(text)).next, null, text)
  }
})

t.test('begin() returns true once for each task of each listing', async (t) => {
  const one = RenderedListing.of(listing())
  const other = RenderedListing.of(listing())
  for (const what of ['br', 'gzip', 'next'] as const) {
    t.strictSame([one.begin(what), one.begin(what), other.begin(what)], [true, false, true], what)
  }
})
