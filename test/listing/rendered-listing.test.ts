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
  const { identity, next, size } = RenderedListing.fromListing(value)
  t.equal(identity.bytes.toString(), JSON.stringify(value))
  t.equal(identity.etag, `"${createHash('sha256').update(JSON.stringify(value)).digest('base64url')}"`)
  t.equal(identity.encoding, 'identity')
  t.equal(next, 'n')
  t.equal(size, Buffer.byteLength(JSON.stringify(value)))
})

t.test('bytes take no more memory than their length, whatever buffer they come from', async (t) => {
  const pooled = Buffer.from(JSON.stringify(listing()))
  t.ok(pooled.buffer.byteLength > pooled.byteLength, 'Node takes small buffers from a pool')
  for (const rendered of [RenderedListing.fromBytes(pooled), RenderedListing.fromListing(listing())]) {
    rendered.addCompressed('gzip', pooled)
    for (const { bytes } of [rendered.identity, rendered.getCompressed('gzip')!]) {
      t.equal(bytes.buffer.byteLength, bytes.byteLength)
      t.ok(bytes.equals(pooled))
    }
  }
})

t.test('each encoding has its own ETag, and equal listings have equal ones', async (t) => {
  const one = RenderedListing.fromListing(listing())
  const two = RenderedListing.fromBytes(Buffer.from(JSON.stringify(listing())))
  const other = RenderedListing.fromListing(listing({ names: ['b'] }))
  const etags = [one, two, other].map((each) => {
    each.addCompressed('br', Buffer.from('coded'))
    each.addCompressed('gzip', Buffer.from('coded'))
    return [each.identity.etag, each.getCompressed('br')?.etag, each.getCompressed('gzip')?.etag]
  })
  t.equal(new Set(etags[0]).size, 3)
  t.strictSame(etags[1], etags[0])
  t.equal(new Set([...etags[0]!, ...etags[2]!]).size, 6)
  for (const etag of etags[0]!) t.match(etag, /^"[\w-]+"$/, 'strong, and quoted as in the header')
})

t.test('the size is the sum of all encodings', async (t) => {
  const rendered = RenderedListing.fromListing(listing())
  const plain = rendered.identity.bytes.byteLength
  t.equal(rendered.getCompressed('br'), undefined)
  rendered.addCompressed('br', Buffer.alloc(10))
  t.equal(rendered.size, plain + 10)
  rendered.addCompressed('gzip', Buffer.alloc(7))
  t.equal(rendered.size, plain + 17)
  t.match(rendered.getCompressed('gzip'), { encoding: 'gzip', bytes: Buffer.alloc(7) })
  rendered.removeCompressed('br')
  t.equal(rendered.size, plain + 7)
  t.equal(rendered.getCompressed('br'), undefined)
})

t.test('the next cursor is found in the bytes, whatever the names of the entries are', async (t) => {
  for (const next of ['cursor', null]) {
    for (const names of [[], ['a'], [FORGED], [`{${FORGED}}`, '\\', '\\"page\\":{', '\\\\"page":{'], ['"page":{']]) {
      const bytes = Buffer.from(JSON.stringify(listing({ names, next })))
      t.equal(RenderedListing.fromBytes(bytes).next, next, `${String(next)} after ${JSON.stringify(names)}`)
    }
  }
})

t.test('the next cursor is found without parsing the entries', async (t) => {
  const bytes = Buffer.from('{"entries":[what is no JSON],"page":{"next":"cursor","complete":false}}')
  t.equal(RenderedListing.fromBytes(bytes).next, 'cursor')
  const nested = Buffer.from('{"entries":[{"page":{"next":"x"}}],"page":{"next":"cursor"}}')
  t.equal(RenderedListing.fromBytes(nested).next, 'cursor', 'the last page object is that of the listing')
})

t.test('bytes without a page object have no next cursor', async (t) => {
  for (const text of ['{"entries":["secret"]}', '{}', '', JSON.stringify({ entries: [FORGED] })]) {
    t.equal(RenderedListing.fromBytes(Buffer.from(text)).next, null, text)
  }
})

t.test('begin() returns true once for each task of each listing', async (t) => {
  const one = RenderedListing.fromListing(listing())
  const other = RenderedListing.fromListing(listing())
  for (const what of ['br', 'gzip', 'next'] as const) {
    t.strictSame([one.claim(what), one.claim(what), other.claim(what)], [true, false, true], what)
  }
})
