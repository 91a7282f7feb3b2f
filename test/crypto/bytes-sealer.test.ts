import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createBytesSealer } from '../../src/crypto/bytes-sealer.ts'
import { aesGcmSeal, encodeFields, hashFields, hkdfSha256 } from '../../src/crypto/primitives.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { anyText } from '../support/listing/arbitraries.ts'

const key = () => randomBytes(32).toString('base64')
const [k1, k2] = [key(), key()]
const ring = createKeyRing({ current: 'k1', keys: { k1 } })
const sealer = createBytesSealer(ring, 'pages')
const TIME = Date.UTC(2026, 0, 1)

t.test('any sealed bytes can be opened under the same name', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), anyText(), fc.maxSafeNat(), (bytes, name, time) => {
      const opened = sealer.open(sealer.seal(bytes, name, time), name)
      return opened !== null && opened.bytes.equals(bytes) && opened.time === time
    })
  )
})

t.test('sealed bytes that are changed, truncated or extended open as null and throw nothing', async (t) => {
  const sealed = sealer.seal(Buffer.from('a page'), 'name', TIME)
  for (let at = 0; at < sealed.length; at += 1) {
    const altered = Buffer.from(sealed)
    altered.writeUInt8(altered.readUInt8(at) ^ 1, at)
    t.equal(sealer.open(altered, 'name'), null, `byte ${at}`)
    t.equal(sealer.open(sealed.subarray(0, at), 'name'), null, `${at} bytes`)
  }
  t.equal(sealer.open(Buffer.concat([sealed, Buffer.from([0])]), 'name'), null)
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (junk) => sealer.open(Buffer.from(junk), 'name') === null))
})

t.test('bytes that an earlier version sealed without a time cannot be opened', async (t) => {
  const [salt, iv] = [randomBytes(32), randomBytes(12)]
  const purpose = 'pages'
  const sealKey = hkdfSha256(ring.currentKey, salt, hashFields(['fastify-cloud-storage bytes key v1', purpose]))
  const head = Buffer.from('\u0001\u0002k1', 'latin1')
  for (const page of ['{"entries":[]}', 'x'.repeat(100), '']) {
    const aad = encodeFields(['fastify-cloud-storage bytes v1', 'k1', purpose, 'name'])
    const { ciphertext, tag } = aesGcmSeal(sealKey, iv, aad, Buffer.from(page))
    t.equal(sealer.open(Buffer.concat([head, salt, iv, ciphertext, tag]), 'name'), null)
  }
})

t.test('sealed bytes cannot be opened under another name, for another purpose or with another key', async (t) => {
  const sealed = sealer.seal(Buffer.from('a page'), 'name', TIME)
  t.equal(sealer.open(sealed, 'other'), null)
  t.equal(createBytesSealer(ring, 'other').open(sealed, 'name'), null)
  t.equal(createBytesSealer(createKeyRing({ current: 'k1', keys: { k1: k2 } }), 'pages').open(sealed, 'name'), null)
  t.equal(createBytesSealer(createKeyRing({ current: 'k2', keys: { k2 } }), 'pages').open(sealed, 'name'), null)
  const rotated = createBytesSealer(createKeyRing({ current: 'k2', keys: { k1, k2 } }), 'pages')
  t.same(
    rotated.open(sealed, 'name'),
    { bytes: Buffer.from('a page'), time: TIME },
    'an older key of the ring still opens them'
  )
})

t.test('two seals of one page share only their header', async (t) => {
  const [one, two] = [
    sealer.seal(Buffer.from('a page'), 'name', TIME),
    sealer.seal(Buffer.from('a page'), 'name', TIME)
  ]
  t.same(one.subarray(0, 12), two.subarray(0, 12))
  t.notSame(one.subarray(12, 44), two.subarray(12, 44))
  t.notSame(one.subarray(56), two.subarray(56))
})

t.test('a hidden name depends on its parts, the purpose and the key', async (t) => {
  t.equal(sealer.deriveName('a', 'b'), sealer.deriveName('a', 'b'))
  t.match(sealer.deriveName('a'), /^[\w-]{43}$/)
  const names = [
    sealer.deriveName('ab', ''),
    sealer.deriveName('a', 'b'),
    sealer.deriveName('ab'),
    createBytesSealer(ring, 'other').deriveName('ab'),
    createBytesSealer(createKeyRing({ current: 'k2', keys: { k2 } }), 'pages').deriveName('ab')
  ]
  t.equal(new Set(names).size, names.length)
})
