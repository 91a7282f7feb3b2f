import { createCipheriv, createHash, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import type { TextSealer } from '../../src/core/stores.ts'
import { encodeFields, hashFields } from '../../src/crypto/primitives.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { createTextSealer } from '../../src/crypto/text-sealer.ts'

const K1 = randomBytes(32)
const K2 = randomBytes(32)
const BINDING = ['user-1', 'connection-1', 'folder-1']
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \0é'

function sealerOf(current: string, keys: Record<string, Buffer>, purpose = 'cursor'): TextSealer {
  const texts = Object.entries(keys).map(([kid, key]) => [kid, key.toString('base64')])
  return createTextSealer(
    createKeyRing({ current, keys: Object.fromEntries(texts) as Record<string, string> }),
    purpose
  )
}

const sealer = sealerOf('k1', { k1: K1, k2: K2 })
/** All sequences of UTF-16 code units, including lone surrogates. */
const text = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units))

t.test('every text can be opened under its own binding, and its seal is safe in a URL', async () => {
  fc.assert(
    fc.property(text, fc.array(text), (plain, binding) => {
      const sealed = sealer.seal(plain, binding)
      return sealer.open(sealed, binding) === plain && encodeURIComponent(sealed) === sealed
    })
  )
})

t.test('equal texts under equal bindings have equal seals in every process', async (t) => {
  t.equal(sealer.seal('page 2', BINDING), sealer.seal('page 2', [...BINDING]))
  t.equal(sealerOf('k1', { k1: K1 }).seal('page 2', BINDING), sealer.seal('page 2', BINDING))
})

t.test('another text, binding, purpose or key gives another seal and another nonce', async (t) => {
  const seals = [
    sealer.seal('page 2', BINDING),
    sealer.seal('page 3', BINDING),
    sealer.seal('page 2', [...BINDING, '']),
    sealerOf('k1', { k1: K1 }, 'state').seal('page 2', BINDING),
    sealerOf('k1', { k1: K2 }).seal('page 2', BINDING)
  ]
  t.equal(new Set(seals.map((sealed) => sealed.slice(6, 22))).size, seals.length)
})

t.test('the text cannot be read from its seal', async (t) => {
  const payload = Buffer.from(sealer.seal('a provider token', BINDING).slice(6), 'base64url')
  t.notMatch(payload.toString('latin1'), 'provider')
})

t.test('the boundaries of the parts of a binding are authenticated', async (t) => {
  const bindings = [['ab', 'c'], ['a', 'bc'], ['abc'], ['abc', ''], ['', 'abc'], ['c', 'ab'], ['ab', 'c', ''], [], ['']]
  for (const own of bindings) {
    const sealed = sealer.seal('page 2', own)
    t.same(
      bindings.filter((binding) => sealer.open(sealed, binding) !== null),
      [own]
    )
  }
  t.equal(sealer.open(sealer.seal('page 2', ['\ud800']), ['\ud801']), null)
})

t.test('a seal of another purpose cannot be opened', async (t) => {
  const sealed = sealerOf('k1', { k1: K1 }, 'state').seal('page 2', BINDING)
  t.equal(sealer.open(sealed, BINDING), null)
})

t.test('every key of the ring can open, the current one seals, and a removed one cannot open', async (t) => {
  const old = sealerOf('k1', { k1: K1 }).seal('page 2', BINDING)
  const rotated = sealerOf('k2', { k1: K1, k2: K2 })
  t.equal(rotated.open(old, BINDING), 'page 2')
  t.match(rotated.seal('page 2', BINDING), /^v1\.k2\./)
  t.equal(sealerOf('k2', { k2: K2 }).open(old, BINDING), null)
})

t.test('a seal with any character replaced is refused', async (t) => {
  const sealed = sealer.seal('page 2', BINDING)
  const changed = Array.from(sealed).flatMap((character, index) =>
    Array.from(ALPHABET)
      .filter((other) => other !== character)
      .map((other) => sealed.slice(0, index) + other + sealed.slice(index + 1))
  )
  t.ok(changed.length > 3000)
  t.same(
    changed.filter((each) => sealer.open(each, BINDING) !== null),
    []
  )
})

t.test('a seal that is truncated or extended is refused', async (t) => {
  const sealed = sealer.seal('page 2', BINDING)
  const changed = Array.from(sealed).flatMap((_, at) => [
    sealed.slice(0, at),
    sealed.slice(at + 1),
    sealed.slice(0, at) + sealed.slice(at + 1),
    `${sealed.slice(0, at)}A${sealed.slice(at)}`
  ])
  t.same(
    [...changed, `${sealed}=`, `${sealed}.`, `${sealed}.A`].filter((each) => sealer.open(each, BINDING) !== null),
    []
  )
})

t.test('no text makes open throw', async () => {
  const almost = fc.tuple(fc.constantFrom('v1', 'v2'), fc.constantFrom('k1', '__proto__', 'k9'), fc.base64String())
  const texts = fc.oneof(
    text,
    almost.map((parts) => parts.join('.'))
  )
  fc.assert(fc.property(texts, (sealed) => sealer.open(sealed, BINDING) === null))
})

t.test('a rewritten key id cannot open a seal, even if both ids name the same key', async (t) => {
  const sealed = sealer.seal('page 2', BINDING)
  t.equal(sealer.open(sealed.replace('v1.k1.', 'v1.k2.'), BINDING), null)
  t.equal(sealerOf('k9', { k9: K1 }).open(sealed.replace('v1.k1.', 'v1.k9.'), BINDING), null)
})

t.test('a chosen nonce is refused, even if the tag is valid', async (t) => {
  const key = Buffer.from(
    hkdfSync('sha256', K1, '', hashFields(['fastify-cloud-storage text encryption v1', 'cursor']), 32)
  )
  const sealWith = (nonce: Buffer): string => {
    const gcm = createCipheriv('aes-256-gcm', key, nonce)
    gcm.setAAD(encodeFields(['fastify-cloud-storage text v1', 'k1', 'cursor', ...BINDING]))
    const parts = [nonce, gcm.update('"page 2"'), gcm.final(), gcm.getAuthTag()]
    return `v1.k1.${Buffer.concat(parts).toString('base64url')}`
  }
  const own = Buffer.from(sealer.seal('page 2', BINDING).slice(6), 'base64url').subarray(0, 12)
  t.equal(sealer.open(sealWith(own), BINDING), 'page 2', 'the described format can be opened')
  t.equal(sealer.open(sealWith(createHash('sha256').digest().subarray(0, 12)), BINDING), null)
})

t.test('an old key is derived once and not for every call', async (t) => {
  const ring = createKeyRing({ current: 'k2', keys: { k1: K1.toString('base64'), k2: K2.toString('base64') } })
  const asked: string[] = []
  const keys = new Map(ring.keys)
  keys.get = (kid: string): KeyObject | undefined => {
    asked.push(kid)
    return ring.keys.get(kid)
  }
  const counted = createTextSealer({ ...ring, keys }, 'cursor')
  const old = sealer.seal('page 2', BINDING)
  for (let call = 0; call < 3; call++) {
    t.equal(counted.open(old, BINDING), 'page 2')
    t.equal(counted.open(counted.seal('page 2', BINDING), BINDING), 'page 2')
  }
  t.same(asked, ['k1'])
})
