import { randomBytes } from 'node:crypto'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import t from 'tap'
import { Compressor } from '../../src/listing/compressor.ts'
import type { FolderKey } from '../../src/cache/types.ts'
import { ENCODINGS, RenderedListing } from '../../src/listing/rendered-listing.ts'
import { folderKey, createTestCache } from '../support/listing/folder-cache.ts'

const decode = { br: brotliDecompressSync, gzip: gunzipSync }

/** Returns a number of bytes that compress well. */
const plain = (bytes: number): Buffer => Buffer.alloc(bytes, '{"name":"report.pdf","kind":"file"},')

/** The response of a cached page. */
const stored = (key: FolderKey, listing: RenderedListing) => ({ key, listing, status: { stored: true } })

/** An encoder on a cache that holds one listing of these bytes. */
async function kept(bytes: Buffer, maxBytes = 1 << 20) {
  const sizeOf = (value: unknown): number => (value as RenderedListing).size
  const { cache } = createTestCache({ maxBytes, sizeOf })
  const keep = (variant: string) =>
    cache.getOrFetch(folderKey({ variant }), async () => RenderedListing.fromBytes(bytes))
  return { cache, encoder: new Compressor(cache), keep, key: folderKey({ variant: '1' }), listing: await keep('1') }
}

t.test('each encoding decompresses to the same bytes and counts with its size', async (t) => {
  const bytes = plain(50_000)
  const { cache, encoder, key, listing } = await kept(bytes)
  t.equal(cache.stats().bytes, bytes.byteLength)
  let expected = bytes.byteLength
  for (const encoding of ENCODINGS) {
    const done = encoder.begin(stored(key, listing), encoding)
    t.equal(listing.getCompressed(encoding), undefined, 'the first caller does not wait')
    await done
    const coded = listing.getCompressed(encoding)!
    t.ok(decode[encoding](coded.bytes).equals(bytes), encoding)
    t.ok(coded.bytes.byteLength < bytes.byteLength / 10)
    expected += coded.bytes.byteLength
    t.equal(cache.stats().bytes, expected)
  }
})

t.test('each encoding is compressed once, however many callers request it', async (t) => {
  const { cache, encoder, key, listing } = await kept(plain(50_000))
  const begun = Array.from({ length: 50 }, () => encoder.begin(stored(key, listing), 'br'))
  t.strictSame(
    begun.map((done) => done !== undefined),
    [true, ...Array<boolean>(49).fill(false)]
  )
  const other = encoder.begin(stored(key, listing), 'gzip')
  t.ok(other, 'the other encoding is independent')
  await Promise.all([...begun, other])
  t.equal(encoder.begin(stored(key, listing), 'br'), undefined, 'nor again once it is compressed')
  t.equal(cache.stats().bytes, listing.size)
})

t.test('a page of up to 1,024 bytes is never compressed', async (t) => {
  const small = await kept(plain(1024))
  t.equal(small.encoder.begin(stored(small.key, small.listing), 'gzip'), undefined)
  const larger = await kept(plain(1025))
  await larger.encoder.begin(stored(larger.key, larger.listing), 'gzip')
  t.ok(larger.listing.getCompressed('gzip'))
})

t.test('two pages are compressed at a time, and a third one on a later request', async (t) => {
  const { encoder, keep } = await kept(plain(50_000))
  const listings = await Promise.all(['1', '2', '3'].map((variant) => keep(variant)))
  const begin = (i: number) => encoder.begin(stored(folderKey({ variant: String(i + 1) }), listings[i]!), 'br')
  const first = begin(0)
  const second = begin(1)
  t.ok(first !== undefined && second !== undefined)
  t.equal(begin(2), undefined)
  await Promise.all([first, second])
  t.equal(listings[2]!.getCompressed('br'), undefined, 'it does not start by itself')
  const third = begin(2)
  t.ok(third)
  await third
  t.ok(listings[2]!.getCompressed('br'))
})

t.test('a result that is hardly shorter is discarded and not tried again', async (t) => {
  for (const encoding of ENCODINGS) {
    for (const share of [1, 0.93]) {
      const noise = Buffer.concat([randomBytes(20_000 * share), plain(20_000 * (1 - share))])
      const { cache, encoder, key, listing } = await kept(noise)
      await encoder.begin(stored(key, listing), encoding)
      t.equal(listing.getCompressed(encoding), undefined, `${encoding} ${share}`)
      t.equal(cache.stats().bytes, noise.byteLength)
      t.equal(encoder.begin(stored(key, listing), encoding), undefined)
    }
    const better = await kept(Buffer.concat([randomBytes(17_000), plain(3_000)]))
    await better.encoder.begin(stored(better.key, better.listing), encoding)
    t.ok(better.listing.getCompressed(encoding), `${encoding}, at least a tenth shorter`)
  }
})

t.test('a compressed form that does not fit beside its page is dropped, and the page stays', async (t) => {
  const bytes = plain(50_000)
  const { cache, encoder, key, listing } = await kept(bytes, bytes.byteLength + 10)
  await encoder.begin(stored(key, listing), 'br')
  t.equal(listing.getCompressed('br'), undefined)
  t.match(cache.stats(), { entries: 1, bytes: bytes.byteLength, evictions: 0 })
})

t.test('the compressed form of a dropped or replaced page is discarded', async (t) => {
  const gone = await kept(plain(50_000))
  const done = gone.encoder.begin(stored(gone.key, gone.listing), 'br')
  gone.cache.clear()
  await done
  t.equal(gone.listing.getCompressed('br'), undefined)
  t.equal(gone.cache.stats().bytes, 0)

  const replaced = await kept(plain(50_000))
  const late = replaced.encoder.begin(stored(replaced.key, replaced.listing), 'br')
  replaced.cache.clear()
  const newer = await replaced.keep('1')
  await late
  t.equal(replaced.listing.getCompressed('br'), undefined)
  t.equal(newer.getCompressed('br'), undefined, 'the new page is compressed separately')
  t.equal(replaced.cache.stats().bytes, 50_000)
})

t.test('a failed compression fails no request and does not block later ones', async (t) => {
  const { encoder, key, listing } = await kept(plain(50_000))
  // zlib throws immediately for this, as it does when it is out of memory.
  const broken = { identity: { bytes: { byteLength: 5_000 } }, claim: () => true } as unknown as RenderedListing
  for (let i = 0; i < 3; i += 1) {
    for (const encoding of ENCODINGS) t.equal(await encoder.begin(stored(key, broken), encoding), undefined)
  }
  await encoder.begin(stored(key, listing), 'br')
  t.ok(listing.getCompressed('br'))
})

t.test('a page that is not cached is not compressed', async (t) => {
  const { encoder, key, listing } = await kept(plain(50_000))
  for (const status of [{}, { stored: false }]) t.equal(encoder.begin({ key, listing, status }, 'br'), undefined)
  t.ok(encoder.begin(stored(key, listing), 'br'), 'the same page is compressed once it is cached')
})
