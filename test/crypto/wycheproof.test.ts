import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { IV_BYTES, KEY_BYTES, TAG_BYTES, aesGcmOpen, aesGcmSeal, hkdfSha256 } from '../../src/crypto/primitives.ts'
import { requireService } from '../support/process/services.ts'

/**
 * The vectors of C2SP/wycheproof, which target known mistakes of implementations. They are not part of this project:
 * `WYCHEPROOF` names the folder with `aes_gcm_test.json` and `hkdf_sha256_test.json` (its `testvectors`).
 */
const FOLDER = process.env.WYCHEPROOF ?? ''
const AVAILABLE = FOLDER !== '' && existsSync(join(FOLDER, 'aes_gcm_test.json'))

interface VectorFile<Group> {
  readonly numberOfTests: number
  readonly testGroups: readonly Group[]
}

type Verdict = 'valid' | 'invalid' | 'acceptable'

interface GcmGroup {
  readonly keySize: number
  readonly ivSize: number
  readonly tagSize: number
  readonly tests: readonly {
    readonly tcId: number
    readonly key: string
    readonly iv: string
    readonly aad: string
    readonly msg: string
    readonly ct: string
    readonly tag: string
    readonly result: Verdict
  }[]
}

interface HkdfGroup {
  readonly tests: readonly {
    readonly tcId: number
    readonly ikm: string
    readonly salt: string
    readonly info: string
    readonly size: number
    readonly okm: string
    readonly result: Verdict
  }[]
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex')

function read<Group>(name: string): VectorFile<Group> {
  return JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as VectorFile<Group>
}

t.test('AES-256-GCM passes the vectors of Wycheproof', async (t) => {
  if (!requireService(t, 'wycheproof', AVAILABLE)) return
  const file = read<GcmGroup>('aes_gcm_test.json')
  const ours = ({ keySize, ivSize, tagSize }: GcmGroup): boolean =>
    keySize === KEY_BYTES * 8 && ivSize === IV_BYTES * 8 && tagSize === TAG_BYTES * 8
  const wrong: string[] = []
  let tried = 0
  let invalid = 0

  for (const group of file.testGroups) {
    for (const { tcId, key, iv, aad, msg, ct, tag, result } of group.tests) {
      tried++
      const open = (): Buffer | null => aesGcmOpen(hex(key), hex(iv), hex(aad), { ciphertext: hex(ct), tag: hex(tag) })
      if (!ours(group)) {
        t.throws(open, RangeError, `test ${tcId}: another size`)
        t.throws(() => aesGcmSeal(hex(key), hex(iv), hex(aad), hex(msg)), RangeError)
      } else if (result === 'invalid') {
        invalid++
        if (open() !== null) wrong.push(`test ${tcId}: opened`)
      } else {
        const sealed = aesGcmSeal(hex(key), hex(iv), hex(aad), hex(msg))
        if (sealed.ciphertext.toString('hex') !== ct || sealed.tag.toString('hex') !== tag)
          wrong.push(`${tcId}: sealed`)
        if (open()?.toString('hex') !== msg) wrong.push(`test ${tcId}: not opened`)
      }
    }
  }

  t.same(wrong, [])
  t.equal(tried, file.numberOfTests)
  t.ok(invalid > 0)
})

t.test('HKDF-SHA256 passes the vectors of Wycheproof and refuses sizes that are too large', async (t) => {
  if (!requireService(t, 'wycheproof', AVAILABLE)) return
  const file = read<HkdfGroup>('hkdf_sha256_test.json')
  let tried = 0
  let invalid = 0

  for (const { tcId, ikm, salt, info, size, okm, result } of file.testGroups.flatMap((group) => group.tests)) {
    tried++
    const derive = (): Buffer => hkdfSha256(hex(ikm), hex(salt), hex(info), size)
    if (result === 'invalid') {
      invalid++
      t.throws(derive, RangeError, `test ${tcId}: ${size} bytes`)
    } else {
      t.equal(derive().toString('hex'), okm, `test ${tcId}`)
    }
  }

  t.equal(tried, file.numberOfTests)
  t.ok(invalid > 0)
})
