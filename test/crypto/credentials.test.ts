import { createCipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { inspect } from 'node:util'
import type { CredentialBinding } from '../../src/core/stores.ts'
import { StorageError } from '../../src/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import { MAX_ENVELOPE_LENGTH, createCredentialCipher } from '../../src/crypto/credentials.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { anyText } from '../support/listing/arbitraries.ts'

const K1 = randomBytes(32)
const K2 = randomBytes(32)
const BINDING: CredentialBinding = { userId: 'user-1', id: 'connection-1', provider: 's3' }
const MESSAGE = 'The stored credentials of this connection cannot be read.'
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \0é'

function cipherOf(current: string, keys: Record<string, Buffer>): ReturnType<typeof createCredentialCipher> {
  const texts = Object.entries(keys).map(([kid, key]) => [kid, key.toString('base64')])
  return createCredentialCipher(createKeyRing({ current, keys: Object.fromEntries(texts) as Record<string, string> }))
}

const cipher = cipherOf('k1', { k1: K1, k2: K2 })
const seal = (value: unknown, binding = BINDING): string => cipher.seal(new Secret(value), binding)

/** Returns the error of `open`, or `null` if it succeeds. */
function failure(sealed: string, binding = BINDING, by = cipher): StorageError | null {
  try {
    by.open(sealed, binding)
    return null
  } catch (error) {
    if (error instanceof StorageError && error.code === 'CREDENTIALS_UNREADABLE' && error.message === MESSAGE)
      return error
    throw error
  }
}

const opened = (sealed: readonly string[]): string[] => sealed.filter((each) => failure(each) === null)

/** Implements the documented format with Node's own functions. */
function byHand(plaintext: string, binding = BINDING, kid = 'k1', key = K1): string {
  const fields = (...values: string[]): Buffer => {
    const uint32 = (value: number): Buffer => Buffer.from(value.toString(16).padStart(8, '0'), 'hex')
    const encoded = values.map((value) => Buffer.from(value, 'utf16le'))
    return Buffer.concat(encoded.flatMap((value) => [uint32(value.length), value]))
  }
  const { userId, id, provider } = binding
  const [salt, iv] = [randomBytes(32), randomBytes(12)]
  const info = fields('fastify-cloud-storage credentials key v1', userId, id)
  const hash = createHash('sha256').update(info).digest()
  const gcm = createCipheriv('aes-256-gcm', Buffer.from(hkdfSync('sha256', key, salt, hash, 32)), iv)
  gcm.setAAD(fields('fastify-cloud-storage credentials v1', kid, userId, id, provider))
  const parts = [salt, iv, gcm.update(plaintext), gcm.final(), gcm.getAuthTag()]
  return `v1.${kid}.${Buffer.concat(parts).toString('base64url')}`
}

t.test('every JSON value can be sealed and opened under every binding', async () => {
  const id = anyText()
  const bindings = fc.record({ userId: id, id, provider: id })
  fc.assert(
    fc.property(fc.jsonValue(), bindings, (value, binding) => {
      const back = cipher.open(seal(value, binding), binding).reveal()
      return JSON.stringify(back) === JSON.stringify(value)
    })
  )
})

t.test('an envelope is v1, the key id, and base64url of salt, iv, ciphertext and tag', async (t) => {
  const value = { accessKeyId: 'AKIA', secretAccessKey: 'wJalr' }
  const sealed = seal(value)
  t.match(sealed, /^v1\.k1\.[A-Za-z0-9_-]+$/)
  const payload = Buffer.from(sealed.slice('v1.k1.'.length), 'base64url')
  t.equal(payload.byteLength, 32 + 12 + JSON.stringify(value).length + 16)
  t.notMatch(payload.toString('latin1'), 'AKIA')
  t.same(cipher.open(byHand('{"made":"by hand"}'), BINDING).reveal(), { made: 'by hand' })
})

t.test('each seal draws 32 bytes of salt and 12 bytes of iv from the source of randomness', async (t) => {
  const sizes: number[] = []
  const fixed = createCredentialCipher(
    createKeyRing({ current: 'k1', keys: { k1: K1.toString('base64') } }),
    (size) => {
      sizes.push(size)
      return Buffer.alloc(size, sizes.length)
    }
  )
  const [first, second] = [fixed.seal(new Secret('x'), BINDING), fixed.seal(new Secret('x'), BINDING)]
  t.same(sizes, [32, 12, 32, 12])
  t.not(first, second)
  t.equal(Buffer.from(first.slice(6), 'base64url').subarray(0, 44).toString('hex'), '01'.repeat(32) + '02'.repeat(12))
  t.equal(fixed.open(second, BINDING).reveal(), 'x')
})

t.test('two seals of one value differ in every part', async (t) => {
  const [a, b] = [seal('same'), seal('same')].map((sealed) => Buffer.from(sealed.slice(6), 'base64url')) as [
    Buffer,
    Buffer
  ]
  t.notOk(a.subarray(0, 32).equals(b.subarray(0, 32)), 'salt')
  t.notOk(a.subarray(32, 44).equals(b.subarray(32, 44)), 'iv')
  t.notOk(a.subarray(44, -16).equals(b.subarray(44, -16)), 'ciphertext')
})

t.test('an envelope with any character replaced is refused', async (t) => {
  const sealed = seal({ token: 'secret' })
  const changed = Array.from(sealed).flatMap((character, index) =>
    Array.from(ALPHABET)
      .filter((other) => other !== character)
      .map((other) => sealed.slice(0, index) + other + sealed.slice(index + 1))
  )
  t.ok(changed.length > 5000)
  t.same(opened(changed), [])
})

t.test('an envelope with any bit flipped is refused', async (t) => {
  const payload = Buffer.from(seal('secret').slice(6), 'base64url')
  const changed = Array.from({ length: payload.byteLength * 8 }, (_, bit) => {
    const copy = Buffer.from(payload)
    copy[bit >> 3]! ^= 1 << (bit & 7)
    return `v1.k1.${copy.toString('base64url')}`
  })
  t.same(opened(changed), [])
})

t.test('an envelope that is truncated, extended or doubled is refused', async (t) => {
  const sealed = seal('secret')
  const places = Array.from(sealed, (_, index) => index)
  t.same(opened(places.map((at) => sealed.slice(0, at))), [], 'truncated at the end')
  t.same(opened(places.map((at) => sealed.slice(at + 1))), [], 'truncated at the start')
  t.same(opened(places.map((at) => sealed.slice(0, at) + sealed.slice(at + 1))), [], 'one character removed')
  t.same(opened(places.flatMap((at) => ['A', '.', '='].map((c) => sealed.slice(0, at) + c + sealed.slice(at)))), [])
  t.same(opened([`${sealed}A`, `${sealed}=`, `${sealed}.`, `${sealed}\n`, ` ${sealed}`, `${sealed}.${sealed}`]), [])
})

t.test('only canonical base64url is accepted: no padding, other alphabet or trailing bits', async (t) => {
  const sealed = ['{}', '"a"', '"ab"', '"abc"'].map((json) => byHand(json))
  t.same(
    sealed.map((each) => failure(each)),
    [null, null, null, null]
  )
  const respelled = sealed.flatMap((each) => {
    const payload = each.slice(6)
    const last = ALPHABET.indexOf(payload.at(-1)!)
    const others = [1, 2, 3, 15].map((bits) => payload.slice(0, -1) + ALPHABET.charAt((last ^ bits) % 64))
    const sameBytes = others.filter((other) =>
      Buffer.from(other, 'base64url').equals(Buffer.from(payload, 'base64url'))
    )
    return [...sameBytes, Buffer.from(payload, 'base64url').toString('base64'), `${payload}=`, `${payload}==`]
      .filter((other) => other !== payload)
      .map((other) => `v1.k1.${other}`)
  })
  t.ok(respelled.length > 12)
  t.same(opened(respelled), [])
})

t.test('a truncated tag is refused, whatever its length is', async (t) => {
  const payload = Buffer.from(seal('secret').slice(6), 'base64url')
  const cut = Array.from({ length: 16 }, (_, missing) => payload.subarray(0, payload.byteLength - 1 - missing))
  t.same(opened(cut.map((each) => `v1.k1.${each.toString('base64url')}`)), [])
})

t.test('an envelope can be opened only in its own row', async (t) => {
  const sealed = seal('secret')
  t.ok(failure(sealed, { ...BINDING, userId: 'user-2' }))
  t.ok(failure(sealed, { ...BINDING, id: 'connection-2' }))
  t.ok(failure(sealed, { ...BINDING, provider: 'webdav' }))
  t.equal(failure(sealed), null)
})

t.test('the boundaries of user, connection and provider are authenticated', async (t) => {
  const sealed = seal('secret', { userId: 'ab', id: 'cd', provider: 'ef' })
  t.ok(failure(sealed, { userId: 'abc', id: 'd', provider: 'ef' }))
  t.ok(failure(sealed, { userId: 'ab', id: 'cde', provider: 'f' }))
  t.ok(failure(sealed, { userId: 'cd', id: 'ab', provider: 'ef' }))
  t.ok(failure(seal('secret', { ...BINDING, userId: '\ud800' }), { ...BINDING, userId: '\ud801' }), 'lone surrogates')
})

t.test('ids of any length can be bound', async (t) => {
  const long = { userId: 'u'.repeat(5000), id: 'c'.repeat(5000), provider: 's3' }
  const sealed = seal('secret', long)
  t.equal(cipher.open(sealed, long).reveal(), 'secret')
  t.ok(failure(sealed, { ...long, userId: 'u'.repeat(4999) }))
})

t.test('user and connection are part of the key, not only of the authenticated data', async (t) => {
  const swapped = byHand('"x"', { ...BINDING, userId: 'user-2' })
  t.equal(failure(swapped, { ...BINDING, userId: 'user-2' }), null)
  t.ok(failure(swapped))
})

t.test('old rows are opened with their own key, and new ones are sealed with the current key', async (t) => {
  const old = cipherOf('k1', { k1: K1 }).seal(new Secret('secret'), BINDING)
  const rotated = cipherOf('k2', { k1: K1, k2: K2 })
  t.equal(rotated.open(old, BINDING).reveal(), 'secret')
  t.match(rotated.seal(new Secret('secret'), BINDING), /^v1\.k2\./)
})

t.test('a key that was removed too early is named in the log only', async (t) => {
  const old = cipherOf('k1', { k1: K1 }).seal(new Secret('secret'), BINDING)
  const error = failure(old, BINDING, cipherOf('k2', { k2: K2 }))
  t.equal((error?.cause as Error).message, 'The credentials cannot be decrypted: no key "k1" in the key ring')
})

t.test('the key id is authenticated, even if both ids name the same key', async (t) => {
  const sealed = seal('secret')
  t.ok(failure(sealed.replace('v1.k1.', 'v1.k2.')))
  t.ok(failure(sealed.replace('v1.k1.', 'v1.k9.'), BINDING, cipherOf('k9', { k9: K1 })))
  t.ok(failure(sealed.replace('v1.k1.', 'v1.__proto__.')))
  t.ok(failure(sealed.replace('v1.', 'v2.')))
})

t.test('an invalid envelope is refused with one message, and its text is not in the cause', async (t) => {
  const columns = [
    '',
    '.',
    '..',
    'v1..',
    'v1.k1.',
    '{"password":"hunter2"}',
    'hunter2',
    'v1.hunter2',
    `v1."hunter2".${'A'.repeat(88)}`,
    'hunter2.k1.AAAA'
  ]
  for (const column of [...columns, byHand('hunter2'), byHand('')]) {
    const error = failure(column)
    t.ok(error)
    t.notMatch(inspect(error, { depth: 9 }).split('\n    at ')[0], 'hunter2')
    t.notMatch((error?.cause as Error).message, 'hunter2')
    t.equal((error?.cause as Error).cause, undefined)
  }
})

t.test('a value that is too long is neither sealed nor decoded', async (t) => {
  const longest = 'x'.repeat(Math.floor(((MAX_ENVELOPE_LENGTH - 6) * 3) / 4) - 60 - 2)
  t.equal(cipher.open(seal(longest), BINDING).reveal(), longest)
  t.throws(() => seal(`${longest}xx`), { code: 'INVALID_CREDENTIALS' })
  t.ok(failure(byHand(JSON.stringify(`${longest}xx`))))
})

t.test('only JSON values can be sealed', async (t) => {
  t.throws(() => seal(undefined), new TypeError('Credentials must be a JSON value'))
  t.throws(() => seal(() => 'x'), TypeError)
})

t.test('opened credentials are not printed', async (t) => {
  t.notMatch(inspect(cipher.open(seal('hunter2'), BINDING)), 'hunter2')
})
