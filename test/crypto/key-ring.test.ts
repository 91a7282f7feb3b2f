import { randomBytes } from 'node:crypto'
import t from 'tap'
import { inspect } from 'node:util'
import { createKeyRing, type KeyRingOptions } from '../../src/crypto/key-ring.ts'

const BYTES = randomBytes(32)
const BASE64 = BYTES.toString('base64')
const OTHER = randomBytes(32).toString('base64')

/** Options as a JavaScript host could pass them. */
const ring = (options: unknown): ReturnType<typeof createKeyRing> => createKeyRing(options as KeyRingOptions)

t.test('a key may be base64 or base64url, with or without padding', async (t) => {
  const bytes = Buffer.alloc(32, 0xfb)
  for (const text of [bytes.toString('base64'), bytes.toString('base64url'), `${bytes.toString('base64url')}=`]) {
    const keys = ring({ current: 'k1', keys: { k1: text } })
    t.ok(keys.currentKey.export().equals(bytes))
  }
})

t.test('the ring finds its own keys only', async (t) => {
  const keys = ring({ current: 'k2', keys: { k1: BASE64, k2: OTHER } })
  t.equal(keys.current, 'k2')
  t.equal(keys.keys.get('k2'), keys.currentKey)
  t.ok(keys.keys.get('k1')?.export().equals(BYTES))
  for (const kid of ['k3', '', '__proto__', 'constructor', 'toString']) t.equal(keys.keys.get(kid), undefined)
})

t.test('names of inherited properties are not key ids', async (t) => {
  for (const current of ['__proto__', 'constructor', 'hasOwnProperty']) {
    t.throws(() => ring({ current, keys: { k1: BASE64 } }), /^encryption\.current is not the id/)
  }
  const inherited = Object.create({ k1: BASE64 }) as object
  t.throws(() => ring({ current: 'k1', keys: inherited }), /encryption\.current/)
})

t.test('the key id __proto__ has no special meaning', async (t) => {
  const keys = ring({ current: '__proto__', keys: JSON.parse(`{"__proto__":"${BASE64}"}`) as object })
  t.ok(keys.keys.get('__proto__')?.export().equals(BYTES))
})

t.test('an invalid key ring is refused with the name of the problem and without a value', async (t) => {
  const hexKey = BYTES.toString('hex')
  const trailingBits = `${Buffer.alloc(32, 0xff).toString('base64url').slice(0, 42)}9`
  const cases: [unknown, string][] = [
    [{ current: 'k1', keys: { k1: hexKey } }, 'encryption.keys.k1 must be 32 bytes in base64'],
    [{ current: 'k1', keys: { k1: '' } }, 'encryption.keys.k1 must be 32 bytes in base64'],
    [
      { current: 'k1', keys: { k1: randomBytes(31).toString('base64') } },
      'encryption.keys.k1 must be 32 bytes in base64'
    ],
    [
      { current: 'k1', keys: { k1: randomBytes(33).toString('base64') } },
      'encryption.keys.k1 must be 32 bytes in base64'
    ],
    [{ current: 'k1', keys: { k1: `${BASE64}=` } }, 'encryption.keys.k1 must be 32 bytes in base64'],
    [{ current: 'k1', keys: { k1: `${BASE64}\n` } }, 'encryption.keys.k1 must be 32 bytes in base64'],
    [{ current: 'k1', keys: { k1: ` ${BASE64.slice(1)}` } }, 'encryption.keys.k1 must be 32 bytes in base64'],
    [{ current: 'k1', keys: { k1: `+_${BASE64.slice(2)}` } }, 'encryption.keys.k1 must be 32 bytes in base64'],
    [{ current: 'k1', keys: { k1: trailingBits } }, 'encryption.keys.k1 must be 32 bytes in base64'],
    [{ current: 'k1', keys: { k1: BYTES } }, 'encryption.keys.k1 must be 32 bytes in base64'],
    [{ current: 'k1', keys: { k1: [BASE64] } }, 'encryption.keys.k1 must be 32 bytes in base64'],
    [{ current: 'k1', keys: { k1: null } }, 'encryption.keys.k1 must be 32 bytes in base64'],
    [{ current: 'k1', keys: { k1: Buffer.alloc(32).toString('base64') } }, 'encryption.keys.k1 is all zeros'],
    [{ current: 'k1', keys: { k1: BASE64, k2: BASE64 } }, 'encryption.keys.k2 is the same key as encryption.keys.k1'],
    [
      { current: 'k1', keys: { k1: BASE64, k2: BYTES.toString('base64url') } },
      'encryption.keys.k2 is the same key as encryption.keys.k1'
    ],
    [{ current: 'k1', keys: {} }, 'encryption.current is not the id of any key in encryption.keys'],
    [{ current: 'k2', keys: { k1: BASE64 } }, 'encryption.current is not the id of any key in encryption.keys'],
    [{ current: BASE64, keys: { k1: BASE64 } }, 'encryption.current is not the id of any key in encryption.keys'],
    [{ keys: { k1: BASE64 } }, 'encryption.current must be the id of one of encryption.keys'],
    [{ current: 'k1' }, 'encryption.keys must be an object of keys by id'],
    [{ current: 'k1', keys: BASE64 }, 'encryption.keys must be an object of keys by id'],
    [{ current: 'k1', keys: null }, 'encryption.keys must be an object of keys by id'],
    ...[BASE64, '', 'k.1', 'k 1', 'k'.repeat(33), 'ключ'].map((kid): [unknown, string] => [
      { current: kid, keys: { [kid]: OTHER } },
      'encryption.keys: a key id is 1 to 32 letters, digits, "_" or "-"'
    ])
  ]
  for (const [options, message] of cases) t.throws(() => ring(options), { message })
})

t.test('a key ring does not print its keys', async (t) => {
  const keys = ring({ current: 'k1', keys: { k1: BASE64 } })
  const shown = inspect(keys, { depth: 9, showHidden: true }) + JSON.stringify(keys) + JSON.stringify(keys.currentKey)
  t.notOk(shown.includes(BASE64.slice(0, 43)))
  t.notOk(shown.includes(BYTES.toString('hex')))
  t.notOk(shown.includes(BYTES.toString('latin1')))
})
