import { createSecretKey } from 'node:crypto'
import t from 'tap'
import { aesGcmOpen, aesGcmSeal, hkdfSha256 } from '../../src/crypto/primitives.ts'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const bytes = (first: number, last: number): Buffer =>
  Buffer.from(Array.from({ length: last - first + 1 }, (_, index) => first + index))

const ZERO_KEY = '00'.repeat(32)
const GCM_KEY = 'feffe9928665731c6d6a8f9467308308'.repeat(2)
const GCM_PLAINTEXT =
  'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
  '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255'
const GCM_CIPHERTEXT =
  '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa' +
  '8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad'

interface GcmVector {
  readonly source: string
  readonly key: string
  readonly iv: string
  readonly aad: string
  readonly plaintext: string
  readonly ciphertext: string
  readonly tag: string
}

const GCM_VECTORS: readonly GcmVector[] = [
  {
    source: 'McGrew and Viega, The Galois/Counter Mode of Operation, test case 13',
    key: ZERO_KEY,
    iv: '00'.repeat(12),
    aad: '',
    plaintext: '',
    ciphertext: '',
    tag: '530f8afbc74536b9a963b4f1c4cb738b'
  },
  {
    source: 'McGrew and Viega, test case 14',
    key: ZERO_KEY,
    iv: '00'.repeat(12),
    aad: '',
    plaintext: '00'.repeat(16),
    ciphertext: 'cea7403d4d606b6e074ec5d3baf39d18',
    tag: 'd0d1c8a799996bf0265b98b5d48ab919'
  },
  {
    source: 'McGrew and Viega, test case 15',
    key: GCM_KEY,
    iv: 'cafebabefacedbaddecaf888',
    aad: '',
    plaintext: GCM_PLAINTEXT,
    ciphertext: GCM_CIPHERTEXT,
    tag: 'b094dac5d93471bdec1a502270e3cc6c'
  },
  {
    source: 'McGrew and Viega, test case 16',
    key: GCM_KEY,
    iv: 'cafebabefacedbaddecaf888',
    aad: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    plaintext: GCM_PLAINTEXT.slice(0, 120),
    ciphertext: GCM_CIPHERTEXT.slice(0, 120),
    tag: '76fc6ece0f4e1768cddf8853bb2d551b'
  },
  {
    source: 'NIST CAVP, gcmEncryptExtIV256.rsp, PTlen 0, AADlen 0, count 0',
    key: 'b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4',
    iv: '516c33929df5a3284ff463d7',
    aad: '',
    plaintext: '',
    ciphertext: '',
    tag: 'bdc1ac884d332457a1d2664f168c76f0'
  },
  {
    source: 'NIST CAVP, gcmEncryptExtIV256.rsp, PTlen 128, AADlen 0, count 0',
    key: '31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22',
    iv: '0d18e06c7c725ac9e362e1ce',
    aad: '',
    plaintext: '2db5168e932556f8089a0622981d017d',
    ciphertext: 'fa4362189661d163fcd6a56d8bf0405a',
    tag: 'd636ac1bbedd5cc3ee727dc2ab4a9489'
  },
  {
    source: 'NIST CAVP, gcmEncryptExtIV256.rsp, PTlen 128, AADlen 128, count 0',
    key: '92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b',
    iv: 'ac93a1a6145299bde902f21a',
    aad: '1e0889016f67601c8ebea4943bc23ad6',
    plaintext: '2d71bcfa914e4ac045b2aa60955fad24',
    ciphertext: '8995ae2e6df3dbf96fac7b7137bae67f',
    tag: 'eca5aa77d51d4a0a14d9c51e1da474ab'
  }
]

for (const vector of GCM_VECTORS) {
  t.test(`AES-256-GCM agrees with ${vector.source}`, async (t) => {
    const [key, iv, aad] = [hex(vector.key), hex(vector.iv), hex(vector.aad)]
    for (const each of [key, createSecretKey(key)]) {
      const sealed = aesGcmSeal(each, iv, aad, hex(vector.plaintext))
      t.equal(sealed.ciphertext.toString('hex'), vector.ciphertext)
      t.equal(sealed.tag.toString('hex'), vector.tag)
      t.equal(aesGcmOpen(each, iv, aad, sealed)?.toString('hex'), vector.plaintext)
    }
  })
}

const HKDF_VECTORS = [
  {
    source: 'RFC 5869, A.1',
    key: hex('0b'.repeat(22)),
    salt: bytes(0x00, 0x0c),
    info: bytes(0xf0, 0xf9),
    size: 42,
    output: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'
  },
  {
    source: 'RFC 5869, A.2',
    key: bytes(0x00, 0x4f),
    salt: bytes(0x60, 0xaf),
    info: bytes(0xb0, 0xff),
    size: 82,
    output:
      'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09' +
      'da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87'
  },
  {
    source: 'RFC 5869, A.3',
    key: hex('0b'.repeat(22)),
    salt: hex(''),
    info: hex(''),
    size: 42,
    output: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8'
  }
]

for (const { source, key, salt, info, size, output } of HKDF_VECTORS) {
  t.test(`HKDF-SHA256 agrees with ${source}`, async (t) => {
    t.equal(hkdfSha256(key, salt, info, size).toString('hex'), output)
    t.equal(hkdfSha256(createSecretKey(key), salt, info, size).toString('hex'), output)
    t.equal(hkdfSha256(key, salt, info).toString('hex'), output.slice(0, 64), 'the default size is 32 bytes')
  })
}

const KEY = bytes(1, 32)
const IV = bytes(1, 12)
const AAD = Buffer.from('aad')

t.test('a key, an iv or a tag of another size is refused, in either form of the key', async (t) => {
  for (const size of [0, 16, 24, 31, 33]) {
    const key = Buffer.alloc(size, 1)
    t.throws(() => aesGcmSeal(key, IV, AAD, AAD), new RangeError('AES-256-GCM: the key must have 32 bytes'))
    t.throws(() => aesGcmSeal(createSecretKey(key), IV, AAD, AAD), RangeError)
  }
  const { ciphertext, tag } = aesGcmSeal(KEY, IV, AAD, AAD)
  for (const size of [0, 8, 11, 13, 16]) {
    const iv = Buffer.alloc(size)
    t.throws(() => aesGcmSeal(KEY, iv, AAD, AAD), new RangeError('AES-256-GCM: the iv must have 12 bytes'))
    t.throws(() => aesGcmOpen(KEY, iv, AAD, { ciphertext, tag }), RangeError)
  }
  for (const size of [0, 4, 8, 12, 13, 14, 15]) {
    const short = tag.subarray(0, size)
    t.throws(() => aesGcmOpen(KEY, IV, AAD, { ciphertext, tag: short }), {
      message: 'AES-256-GCM: the tag must have 16 bytes'
    })
  }
})

t.test('another key, iv, aad, ciphertext or tag cannot open the ciphertext', async (t) => {
  const { ciphertext, tag } = aesGcmSeal(KEY, IV, AAD, Buffer.from('plaintext'))
  const flipped = (buffer: Buffer): Buffer => Buffer.from(buffer.map((byte, index) => (index === 0 ? byte ^ 1 : byte)))
  t.equal(aesGcmOpen(KEY, IV, AAD, { ciphertext, tag })?.toString(), 'plaintext')
  t.equal(aesGcmOpen(flipped(KEY), IV, AAD, { ciphertext, tag }), null)
  t.equal(aesGcmOpen(KEY, flipped(IV), AAD, { ciphertext, tag }), null)
  t.equal(aesGcmOpen(KEY, IV, flipped(AAD), { ciphertext, tag }), null)
  t.equal(aesGcmOpen(KEY, IV, AAD, { ciphertext: flipped(ciphertext), tag }), null)
  t.equal(aesGcmOpen(KEY, IV, AAD, { ciphertext, tag: flipped(tag) }), null)
})
